internal import DecantBytes
internal import DecantCheckpoints
internal import DecantIO

/// The class names of a network: ImageNet's, or those of a file with one name per line.
struct ClassLabels {
  private static let largestByteCount = 16 << 20
  private let names: [String]

  /// ImageNet's class names, for the networks with 1,000 classes that nearly always were trained on it.
  static let imageNet = ClassLabels(names: ImageNetClasses.names)

  private init(names: [String]) { self.names = names }

  /// Reads a file that must have one line per class of the network.
  init(path: String, classes: Int) throws(DecantError) {
    let file = try InputFile(path)
    guard file.byteCount <= Self.largestByteCount else {
      throw DecantError(
        .invalidInput, "has \(Format.count(file.byteCount)) bytes, too many for a list of class names",
        file: path, remedy: "Give a text file with one name per line.")
    }
    var bytes = [UInt8](repeating: 0, count: file.byteCount)
    var failure: DecantError?
    unsafe bytes.withUnsafeMutableBytes { buffer in
      do throws(DecantError) { unsafe try file.read(into: buffer, at: 0) } catch { failure = error }
    }
    if let failure { throw failure }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw DecantError(
        .invalidInput, "is not UTF-8 text", file: path, remedy: "Give a text file with one name per line.")
    }
    var lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
    if lines.last?.isEmpty == true { lines.removeLast() }
    names = lines.map { line in String(String.UnicodeScalarView(line.last == "\r" ? line.dropLast() : line)) }
    guard names.count == classes else {
      throw DecantError(
        .invalidInput,
        "has \(Format.count(names.count, "line")), and the network has \(classes == 1 ? "1 class" : "\(Format.count(classes)) classes")",
        file: path, remedy: "Give one name per line, in the order of the classes.")
    }
  }

  subscript(place: Int) -> String { names[place] }
}
