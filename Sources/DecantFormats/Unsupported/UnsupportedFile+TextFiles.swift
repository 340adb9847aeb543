internal import DecantBytes

extension UnsupportedFile {
  /// Recognises a Git LFS pointer, and takes the size and digest of the real file from it.
  package init?(pointer head: [UInt8]) {
    guard head.starts(with: Array("version https://git-lfs".utf8)) else { return nil }
    var digest: String?
    var size: Int?
    for line in head.split(separator: 0x0A) {
      let words = String(decoding: line, as: UTF8.self).split(separator: " ")
      guard words.count == 2 else { continue }
      if words[0] == "oid", words[1].hasPrefix("sha256:") {
        digest = words[1].dropFirst("sha256:".count).description.escapedForDisplay
      }
      if words[0] == "size" { size = Int(words[1]) }
    }
    var description = "is a Git LFS pointer, not the file itself"
    if let size, let digest { description += ", which has \(size) bytes and the SHA-256 \(digest)" }
    self.init(description, "Run git lfs pull in its repository to fetch the file.", .notACheckpoint)
  }

  /// Recognises a file of zeros or of text.
  package init?(textOf head: [UInt8], fileByteCount: Int) {
    if head.allSatisfy({ $0 == 0 }) {
      self.init(
        head.count == fileByteCount
          ? "holds only \(fileByteCount) zero bytes"
          : "begins with \(head.count) zero bytes: its download was probably interrupted",
        "Download the file again.", .notACheckpoint)
      return
    }
    guard let text = UnsupportedFile.text(head, isWhole: head.count == fileByteCount) else { return nil }
    let visible = text.drop { $0.isWhitespace || $0 == "\u{FEFF}" }
    let notWeights = "Pass the file with the weights."
    switch visible.first {
    case "<":
      self.init(
        "is a web page (HTML or XML); the download probably needed a login",
        "Open the URL in a browser, then download the file itself.", .notACheckpoint)
    case "{"
    where ["\"architectures\"", "\"model_type\"", "\"_class_name\""].contains(where: visible.contains):
      self.init("is the configuration of a model (JSON), not its weights", notWeights, .notACheckpoint)
    case "{", "[": self.init("is JSON text, not a checkpoint", notWeights, .notACheckpoint)
    default:
      let line = visible.prefix { !$0.isNewline }.prefix(40)
      self.init(
        "is text, not a checkpoint: it begins \"\(String(line).escapedForDisplay)\"",
        "If it is an error message of a server, download the file again. If it is a configuration, pass the file with the weights.",
        .notACheckpoint
      )
    }
  }

  /// Recognises MessagePack, as Flax writes it: a map, then the name of its first member. No pickle begins with these
  /// bytes.
  package init?(messagePack head: [UInt8]) {
    guard let first = head.first else { return nil }
    let start: Int
    switch first {
    case 0x81...0x8F: start = 1
    case 0xDE: start = 3
    case 0xDF: start = 5
    default: return nil
    }
    guard head.count > start, 0xA1...0xBF ~= head[start] else { return nil }
    let name = head.dropFirst(start + 1).prefix(Int(head[start] & 31))
    guard name.count == Int(head[start] & 31), name.allSatisfy({ 0x20..<0x7F ~= $0 }) else { return nil }
    self.init(
      "is a MessagePack file (Flax, JAX), not a PyTorch checkpoint",
      "Load it in Python with flax.serialization.msgpack_restore, save it with numpy.savez, then pass the .npz.",
      .unsupportedFormat
    )
  }

  /// Returns the text that a file begins with; nil when it is not text. The last character may be incomplete unless
  /// `isWhole`.
  private static func text(_ head: [UInt8], isWhole: Bool) -> String? {
    for cut in 0..<(isWhole ? 1 : min(4, head.count)) {
      guard head.suffix(cut).allSatisfy({ $0 >= 0x80 }) else { return nil }
      guard let text = String(validating: head.dropLast(cut), as: UTF8.self) else { continue }
      let isText = text.unicodeScalars.allSatisfy { scalar in
        scalar.value >= 0x20 && scalar.value != 0x7F
          || ["\n", "\r", "\t", "\u{C}", "\u{1B}"].contains(scalar)
      }
      return isText ? text : nil
    }
    return nil
  }
}
