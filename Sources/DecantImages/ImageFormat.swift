/// What kind of picture bytes are, judged by how they begin.
package enum ImageFormat: String, Sendable {
  case png = "PNG"
  case jpeg = "JPEG"

  /// How many first bytes tell.
  package static let headByteCount = 16

  /// The format that is read; nil for anything else.
  package init?(head: some Collection<UInt8>) {
    if head.starts(with: PNGChunks.signature) {
      self = .png
    } else if head.starts(with: [0xFF, 0xD8, 0xFF]) {
      self = .jpeg
    } else {
      return nil
    }
  }

  /// The name of a format of pictures that is not read; nil for what is no picture.
  package static func foreignName(head: some Collection<UInt8>) -> String? {
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
