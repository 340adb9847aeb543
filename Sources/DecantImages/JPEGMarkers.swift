internal import DecantBytes

/// The information in a JPEG's markers. Reading them also checks that the file is complete.
struct JPEGMarkers {
  var width = 0
  var height = 0
  var precision = 0
  var components = 0
  /// The marker of the frame, 0xC0 to 0xCF; 0 when there is none.
  var frame: UInt8 = 0
  var scans = 0
  var exif: [UInt8]?
  var xmp: [UInt8]?
  /// The offset of the end of the image. Later bytes do not belong to it.
  var end = 0

  /// Walks the markers to the end of the image. O(length).
  init(_ bytes: RawSpan) throws(DecantError) {
    var cursor = ByteCursor(bytes, at: 2)
    do throws(ParsingError) {
      while true {
        // Skip fill bytes before a marker, and bytes that libjpeg skips with a warning.
        while try cursor.readByte() != 0xFF {}
        while cursor.peek == 0xFF { try cursor.skip(1) }
        let marker = try cursor.readByte()
        switch marker {
        case 0x00, 0x01, 0xD0...0xD8: continue
        case 0xD9:
          end = cursor.offset
          return
        default: break
        }
        let start = cursor.offset
        let length = Int(try cursor.readBigEndian(UInt16.self))
        guard length >= 2 else { throw ParsingError(offset: start, "a part has \(length) bytes") }
        let content = cursor.offset
        try cursor.skip(length - 2)
        switch marker {
        case 0xC0...0xC3, 0xC5...0xC7, 0xC9...0xCB, 0xCD...0xCF: try readFrame(marker, bytes, content)
        case 0xE1 where scans == 0: readApplication(bytes.copy(content..<content + length - 2))
        case 0xDA: scans += 1
        default: break
        }
      }
    } catch {
      throw .truncatedImage("is a truncated JPEG: \(error.reason)", at: error.offset)
    }
  }

  private mutating func readFrame(_ marker: UInt8, _ bytes: RawSpan, _ offset: Int) throws(ParsingError) {
    // libjpeg refuses a second frame.
    guard frame == 0 else { return }
    var cursor = ByteCursor(bytes, at: offset)
    precision = Int(try cursor.readByte())
    height = Int(try cursor.readBigEndian(UInt16.self))
    width = Int(try cursor.readBigEndian(UInt16.self))
    components = Int(try cursor.readByte())
    frame = marker
  }

  private mutating func readApplication(_ content: [UInt8]) {
    let exifHead = Array("Exif\0\0".utf8)
    let xmpHead = Array("http://ns.adobe.com/xap/1.0/\0".utf8)
    if content.starts(with: exifHead) {
      // EXIF data that exceeds one segment continues in the next.
      exif = (exif ?? []) + content.dropFirst(exifHead.count)
    } else if content.starts(with: xmpHead) {
      xmp = Array(content.dropFirst(xmpHead.count))
    }
  }
}
