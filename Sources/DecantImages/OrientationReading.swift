internal import DecantBytes

/// The orientation tag of a file, read as Pillow reads it.
struct OrientationTag: Equatable {
  /// The number in the file, which may not be one of the eight valid values.
  var value: Int
  /// The kind of metadata that contains the tag: `EXIF` or `XMP`.
  var place: String

  /// Reads the orientation from EXIF, or else from XMP.
  ///
  /// - Parameters:
  ///   - exif: a TIFF file, without the prefix `Exif\0\0`.
  ///   - xmp: XML.
  /// - Returns: the tag, or nil when there is none, and whether EXIF is present but is not a TIFF file.
  static func read(exif: [UInt8]?, xmp: [UInt8]?) -> (tag: OrientationTag?, isDamaged: Bool) {
    var isDamaged = false
    if let exif, !exif.isEmpty {
      do throws(ParsingError) {
        if let value = try valueInTIFF(unsafe exif.span.bytes) {
          return (OrientationTag(value: value, place: "EXIF"), false)
        }
      } catch {
        isDamaged = true
      }
    }
    if let xmp, let value = valueInXMP(xmp) { return (OrientationTag(value: value, place: "XMP"), isDamaged) }
    return (nil, isDamaged)
  }

  /// Returns tag 274 of the first directory. If it occurs several times, the last one counts.
  private static func valueInTIFF(_ bytes: RawSpan) throws(ParsingError) -> Int? {
    var cursor = ByteCursor(bytes)
    let isBigEndian: Bool
    switch try cursor.readBytes(2) {
    case Array("MM".utf8): isBigEndian = true
    case Array("II".utf8): isBigEndian = false
    default: throw ParsingError(offset: 0, "no TIFF header")
    }
    func number<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type, at offset: Int) throws(ParsingError)
      -> T
    {
      var cursor = ByteCursor(bytes)
      try cursor.seek(to: offset)
      return isBigEndian ? try cursor.readBigEndian(type) : try cursor.readLittleEndian(type)
    }
    guard try number(UInt16.self, at: 2) == 42 else { throw ParsingError(offset: 2, "no TIFF header") }
    let start = Int(try number(UInt32.self, at: 4))
    var found: Int?
    for entry in 0..<Int(try number(UInt16.self, at: start)) {
      let place = start + 2 + entry * 12
      // Keep the entries before the point where a directory is cut off.
      guard place + 12 <= bytes.byteCount else { break }
      guard try number(UInt16.self, at: place) == 274, try number(UInt32.self, at: place + 4) == 1 else {
        continue
      }
      switch try number(UInt16.self, at: place + 2) {
      case 3: found = Int(try number(UInt16.self, at: place + 8))
      case 4: found = Int(try number(UInt32.self, at: place + 8))
      case 6: found = Int(try number(Int8.self, at: place + 8))
      case 8: found = Int(try number(Int16.self, at: place + 8))
      case 9: found = Int(try number(Int32.self, at: place + 8))
      default: continue
      }
    }
    return found
  }

  /// Returns the digit of the first `tiff:Orientation="6"` or `<tiff:Orientation>6`.
  private static func valueInXMP(_ bytes: [UInt8]) -> Int? {
    let word = Array("tiff:Orientation".utf8)
    var place = bytes.startIndex
    while let start = bytes[place...].firstIndex(of: word[0]) {
      place = start + 1
      guard bytes[start...].starts(with: word) else { continue }
      var rest = bytes[(start + word.count)...]
      if rest.starts(with: [UInt8(ascii: "="), UInt8(ascii: "\"")]) {
        rest = rest.dropFirst(2)
      } else if rest.first == UInt8(ascii: ">") {
        rest = rest.dropFirst()
      } else {
        continue
      }
      if let digit = rest.first, 0x30...0x39 ~= digit { return Int(digit) - 0x30 }
    }
    return nil
  }
}
