internal import DecantBytes

/// The information in a PNG's chunks, read before its pixels are decoded. libpng checks the checksums.
struct PNGChunks {
  static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

  var width = 0
  var height = 0
  var bitDepth = 0
  var colourType = 0
  /// The number of bytes of all IDAT chunks.
  var dataByteCount = 0
  var exif: [UInt8]?
  var xmp: [UInt8]?
  var hasTransparency = false
  var isAnimated = false

  /// Walks the chunks up to IEND. Later bytes do not belong to the image. O(chunks).
  init(_ bytes: RawSpan) throws(DecantError) {
    var cursor = ByteCursor(bytes, at: Self.signature.count)
    guard bytes.byteCount >= 33, bytes.copy(8..<16) == [0, 0, 0, 13] + Array("IHDR".utf8) else {
      throw .truncatedImage("is a PNG without a header", at: cursor.offset)
    }
    var start = cursor.offset
    do throws(ParsingError) {
      while true {
        start = cursor.offset
        let length = Int(try cursor.readBigEndian(UInt32.self))
        let name = try cursor.readBytes(4)
        let content = cursor.offset
        try cursor.skip(length)
        try cursor.skip(4)
        switch name {
        // libpng refuses a second IHDR.
        case Array("IHDR".utf8) where width == 0: try readHeader(bytes, at: content)
        case Array("IDAT".utf8): dataByteCount += length
        case Array("tRNS".utf8): hasTransparency = true
        case Array("acTL".utf8): isAnimated = true
        case Array("eXIf".utf8): exif = bytes.copy(content..<content + length)
        case Array("iTXt".utf8): xmp = Self.xmp(bytes.copy(content..<content + length)) ?? xmp
        case Array("IEND".utf8): return
        default: break
        }
      }
    } catch {
      throw .truncatedImage(
        "is a PNG that ends inside a chunk: \(error.reason)", at: start)
    }
  }

  private mutating func readHeader(_ bytes: RawSpan, at offset: Int) throws(ParsingError) {
    var cursor = ByteCursor(bytes, at: offset)
    width = Int(try cursor.readBigEndian(UInt32.self))
    height = Int(try cursor.readBigEndian(UInt32.self))
    bitDepth = Int(try cursor.readByte())
    colourType = Int(try cursor.readByte())
  }

  /// Returns the text of an uncompressed `XML:com.adobe.xmp` chunk.
  private static func xmp(_ content: [UInt8]) -> [UInt8]? {
    // The keyword, a NUL, the compression flag and method, and two more texts that end with a NUL.
    let head = Array("XML:com.adobe.xmp".utf8) + [0, 0, 0]
    guard content.starts(with: head) else { return nil }
    var rest = content[head.count...]
    for _ in 0..<2 {
      guard let zero = rest.firstIndex(of: 0) else { return nil }
      rest = rest[(zero + 1)...]
    }
    return Array(rest)
  }
}
