package import DecantBytes
package import DecantIO

/// The file of weights of a Core ML package: a header of 64 bytes, and arrays that each follow a record of 64 bytes.
///
/// Source: coremltools 9.0, `MILBlob/Blob/StorageFormat.hpp`; docs/formats/coreml.md.
package struct MILBlobFile: Sendable {
  /// Headers, records and arrays begin at multiples of this number of bytes.
  package static let alignment = 64
  /// The version of the format.
  package static let version: UInt32 = 2
  /// The first four bytes of a record, as a little-endian number.
  package static let mark: UInt32 = 0xDEAD_BEEF

  /// An array's record.
  package struct Record: Sendable {
    /// The type of the elements; nil for an unknown one.
    package let type: MILDataType?
    /// The byte range of the array in the file.
    package let range: Range<Int>
  }

  private let source: ByteSource
  /// The number of arrays, as the header has it.
  package let count: Int

  /// Reads the header.
  ///
  /// - Throws: ``DecantError`` when it is none, or of another version.
  package init(_ source: ByteSource) throws(DecantError) {
    self.source = source
    let header = try source.bytes(at: 0, count: Self.alignment)
    let version = Self.number(header, at: 4, 4)
    guard version == UInt64(Self.version) else {
      throw DecantError(
        .unsupportedFormat,
        version == 1
          ? "is a file of weights of version 1, as neural networks before ML Programs have it"
          : "is a file of weights of version \(version); only version 2 is supported",
        file: source.path, offset: 4, remedy: "Convert the network again with a current coremltools.")
    }
    count = Int(Self.number(header, at: 0, 4))
  }

  /// Reads the record at an offset.
  ///
  /// - Throws: ``DecantError`` when there is none, or its array lies outside the file.
  package func record(at offset: UInt64) throws(DecantError) -> Record {
    let offset = Int(clamping: offset)
    let record = try source.bytes(at: offset, count: Self.alignment)
    guard Self.number(record, at: 0, 4) == UInt64(Self.mark) else {
      throw DecantError(
        .damaged, "has no record of an array there", file: source.path, offset: offset,
        remedy: "The model and the file of weights are of different packages. Copy the whole package again.")
    }
    let byteCount = Int(clamping: Self.number(record, at: 8, 8))
    let start = Int(clamping: Self.number(record, at: 16, 8))
    guard start <= source.byteCount, byteCount <= source.byteCount - start else {
      throw DecantError(
        .truncated,
        "is cut short: an array of \(Format.count(byteCount, "byte")) at offset \(start) ends behind the file",
        file: source.path, offset: offset,
        remedy: "The download or copy was interrupted. Copy the package again.")
    }
    return Record(
      type: MILDataType(blobType: UInt32(Self.number(record, at: 4, 4))), range: start..<start + byteCount)
  }

  private static func number(_ bytes: [UInt8], at offset: Int, _ count: Int) -> UInt64 {
    bytes[offset..<offset + count].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
  }
}
