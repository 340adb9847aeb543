internal import DecantBytes

/// The record by which a zip file of PyTorch is identified, as Decant writes it.
package enum TorchSerializationID {
  /// The name of the entry that identifies a file, inside the archive's folder.
  package static let entryName = ".data/serialization_id"

  /// Returns forty digits that depend only on the content: twenty from the pickle, twenty from the checksums.
  package static func bytes(_ pickle: [UInt8], _ crcs: [UInt32]) -> [UInt8] {
    Array((digits(of: pickle) + digits(of: crcs)).utf8)
  }

  /// Returns the last twenty digits of the ID, by which a file that Decant wrote is recognised.
  package static func digits(of crcs: [UInt32]) -> String {
    var bytes: [UInt8] = []
    for crc in crcs { bytes.appendLittleEndian(crc) }
    return digits(of: bytes)
  }

  private static func digits(of bytes: [UInt8]) -> String {
    // A 64-bit FNV-1a hash identifies the content; it is not a protection against tampering.
    let hash = bytes.reduce(UInt64(0xCBF2_9CE4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    let text = String(hash)
    return String(repeating: "0", count: 20 - text.count) + text
  }
}
