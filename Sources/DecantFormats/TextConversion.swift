package import DecantBytes
package import DecantIO

/// Binary files that a program treated as text, such as a download in text mode, or `open(path, "w")` after decoding.
package enum TextConversion {
  /// The number of bytes that are examined at each end of a file.
  private static let windowByteCount = 1 << 20

  /// Returns the error of a binary file that was treated as text; nil when nothing shows that it was. O(1).
  package static func error(of file: ByteSource) -> DecantError? {
    guard let reason = reason(file) else { return nil }
    return DecantError(
      .damaged, reason, file: file.path,
      remedy: "Download the file again in binary mode.")
  }

  private static func reason(_ file: ByteSource) -> String? {
    let count = min(file.byteCount, windowByteCount)
    guard let head = try? file.bytes(at: 0, count: count),
      let tail = try? file.bytes(at: file.byteCount - count, count: count)
    else { return nil }
    // Text has no such bytes, so the file was binary.
    guard head.contains(where: { $0 < 7 }) else { return nil }
    if isText(head), isText(tail), let found = decoding(head) ?? decoding(tail) { return found }
    let breaks = head.indices.filter { head[$0] == UInt8(ascii: "\n") }
    if breaks.count >= 2, breaks.allSatisfy({ $0 > 0 && head[$0 - 1] == UInt8(ascii: "\r") }) {
      return "was treated as text: every line feed became a carriage return and a line feed"
    }
    return nil
  }

  /// Returns true for valid UTF-8, which may be cut at both ends.
  private static func isText(_ bytes: [UInt8]) -> Bool {
    let start = bytes.prefix(3).firstIndex { $0 & 0xC0 != 0x80 } ?? 0
    for dropped in 0...min(3, bytes.count) {
      if String(validating: bytes[min(start, bytes.count - dropped)..<bytes.count - dropped], as: UTF8.self)
        != nil
      {
        return true
      }
    }
    return false
  }

  /// Returns how bytes that are valid UTF-8 were decoded, as a clause.
  private static func decoding(_ bytes: [UInt8]) -> String? {
    var replaced = 0
    var latin = 0
    for index in bytes.indices.dropLast(2) {
      if bytes[index] == 0xEF, bytes[index + 1] == 0xBF, bytes[index + 2] == 0xBD { replaced += 1 }
      if bytes[index] == 0xC2 || bytes[index] == 0xC3 { latin += 1 }
    }
    if replaced > 0 { return "was decoded as UTF-8 text: bytes that are not text became U+FFFD" }
    return latin >= 16 ? "was decoded as Latin-1 text and encoded as UTF-8" : nil
  }
}
