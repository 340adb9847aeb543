import ByteParsing
import Checkpoints

/// Names of classes, one a line.
struct ClassLabels {
  private static let largestByteCount = 16 << 20
  private let names: [String]

  /// Reads a file whose lines are as many as the network's classes.
  init(path: String, classes: Int) throws(DecantError) {
    let file = try InputFile(path)
    guard file.byteCount <= Self.largestByteCount else {
      throw DecantError(
        .unclassified, "has \(Spelling.count(file.byteCount)) bytes, too many for names of classes",
        file: path,
        remedy: "It should hold one name a line.")
    }
    var bytes = [UInt8](repeating: 0, count: file.byteCount)
    var failure: DecantError?
    unsafe bytes.withUnsafeMutableBytes { buffer in
      do throws(DecantError) { unsafe try file.read(into: buffer, at: 0) } catch { failure = error }
    }
    if let failure { throw failure }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw DecantError(.unclassified, "is no UTF-8", file: path, remedy: "It should hold one name a line.")
    }
    var lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
    if lines.last?.isEmpty == true { lines.removeLast() }
    names = lines.map { line in String(String.UnicodeScalarView(line.last == "\r" ? line.dropLast() : line)) }
    guard names.count == classes else {
      throw DecantError(
        .unclassified,
        "has \(Spelling.count(names.count, "line")), and the network has \(Spelling.count(classes)) classes",
        file: path, remedy: "It should hold one name a line, in the order of the classes.")
    }
  }

  subscript(place: Int) -> String { names[place] }
}
