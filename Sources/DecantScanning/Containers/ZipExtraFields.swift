internal import DecantBytes

/// The extra fields of a zip entry, in the directory or in the local header.
///
/// Source: PKWARE's APPNOTE 4.5 and 4.6, Info-ZIP's `extrafld.txt`, PyTorch `caffe2/serialize/inline_container.cc`.
enum ZipExtraFields {
  /// Returns true when every field is of a known kind, has a possible length, and agrees with the entry.
  ///
  /// - Parameter sizesFollow: In a local header, true when the sizes follow the data. Nil in the directory.
  static func areSound(
    _ bytes: RawSpan, _ range: Range<Int>, of entry: ZipLayout.Entry, sizesFollow: Bool?
  ) -> Bool {
    var place = range.lowerBound
    var hasSizes = false
    while place < range.upperBound {
      guard place + 4 <= range.upperBound, let kind = bytes.little(UInt16.self, place),
        let count = bytes.little(UInt16.self, place + 2).map(Int.init), place + 4 + count <= range.upperBound
      else {
        // Android's zipalign pads with up to three zeros.
        return range.upperBound - place <= 3 && bytes.holdsOnly(0, in: place..<range.upperBound)
      }
      let data = place + 4..<place + 4 + count
      if kind == 1 {
        // Readers differ in which of two fields of sizes they use.
        guard !hasSizes, areSizes(bytes, data, of: entry, sizesFollow: sizesFollow) else { return false }
        hasSizes = true
      } else if !isSound(kind, bytes, data, of: entry) {
        return false
      }
      place = data.upperBound
    }
    return true
  }

  /// Returns true when a Zip64 field has the entry's sizes. The local header has both, or zeros when they follow the
  /// data; the directory has the values that do not fit, which are read with it.
  private static func areSizes(
    _ bytes: RawSpan, _ data: Range<Int>, of entry: ZipLayout.Entry, sizesFollow: Bool?
  ) -> Bool {
    guard let sizesFollow else { return data.count <= 28 }
    guard data.count == 16 else { return false }
    let sizes = [0, 8].map { bytes.little(UInt64.self, data.lowerBound + $0).flatMap { Int(exactly: $0) } }
    return sizes == [entry.byteCount, entry.storedByteCount] || sizesFollow && sizes == [0, 0]
  }

  private static func isSound(
    _ kind: UInt16, _ bytes: RawSpan, _ data: Range<Int>, of entry: ZipLayout.Entry
  ) -> Bool {
    switch kind {
    // PyTorch aligns data with a field named FB of Zs.
    case 0x4246: bytes.holdsOnly(0x5A, in: data)
    // The path in UTF-8: Python 3.13 uses it in place of the name.
    case 0x7075: data.count > 5 && bytes.copy(data.lowerBound + 5..<data.upperBound) == entry.name
    // Times and owners of Unix, and AES.
    case 0x5455, 0x5855, 0x7855, 0x7875, 0x9901: data.count <= 16
    // Times of Windows.
    case 0x000A: data.count <= 32
    // Java's mark.
    case 0xCAFE: data.isEmpty
    // Android's zipalign.
    case 0xD935: data.count >= 2 && bytes.holdsOnly(0, in: data.lowerBound + 2..<data.upperBound)
    default: false
    }
  }
}
