internal import CLibdeflate

/// A running CRC-32 as zip uses it (polynomial 0xEDB88320), by libdeflate's carry-less multiplication.
package struct CRC32 {
  package private(set) var value: UInt32 = 0

  package init() {}

  /// Adds bytes; O(length), tens of gigabytes a second.
  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    value = unsafe libdeflate_crc32(value, bytes.baseAddress, bytes.count)
  }

  /// The CRC-32 of some bytes.
  static func of(_ bytes: [UInt8]) -> UInt32 {
    var crc = CRC32()
    unsafe bytes.withUnsafeBytes { unsafe crc.update($0) }
    return crc.value
  }
}
