/// An image file format, detected from the first bytes.
package enum ImageFormat: String, Sendable {
  case png = "PNG"
  case jpeg = "JPEG"

  /// The number of leading bytes needed to detect the format.
  package static let headByteCount = 16

  /// Detects a supported format; nil for anything else.
  package init?(head: some Collection<UInt8>) {
    if head.starts(with: PNGChunks.signature) {
      self = .png
    } else if head.starts(with: [0xFF, 0xD8, 0xFF]) {
      self = .jpeg
    } else {
      return nil
    }
  }

  /// Returns the name of an image format that is not supported; nil when the bytes are not an image.
  package static func unsupportedFormatName(head: some Collection<UInt8>) -> String? {
    let head = Array(head)
    func holds(_ text: String, at offset: Int = 0) -> Bool { head.dropFirst(offset).starts(with: text.utf8) }
    if holds("GIF8") { return "GIF" }
    if holds("RIFF") && holds("WEBP", at: 8) { return "WebP" }
    if holds("II*\0") || holds("MM\0*") { return "TIFF" }
    if holds("ftypheic", at: 4) || holds("ftypheix", at: 4) || holds("ftypmif1", at: 4) { return "HEIC" }
    if holds("ftypavif", at: 4) { return "AVIF" }
    if holds("BM") && head.count >= 10 && head[6..<10].allSatisfy({ $0 == 0 }) { return "BMP" }
    return nil
  }
}
