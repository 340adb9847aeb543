internal import CLibdeflate

/// A running CRC-32 as zip uses it (polynomial 0xEDB88320), by libdeflate's carry-less multiplication.
///
/// Where libdeflate is not installed the same value comes from tables, about ten times slower.
package struct CRC32 {
  package private(set) var value: UInt32 = 0

  package init() {}

  /// Adds bytes; O(length), tens of gigabytes a second.
  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    value = unsafe clibdeflate_crc32(value, bytes.baseAddress, bytes.count)
  }

  /// That of some bytes.
  package init(_ bytes: [UInt8]) { unsafe bytes.withUnsafeBytes { unsafe update($0) } }

  /// The CRC-32 of some bytes.
  package static func of(_ bytes: [UInt8]) -> UInt32 { CRC32(bytes).value }

  /// Adds bytes whose own CRC-32 is known, without the bytes. O(log length).
  ///
  /// The CRC of two runs together is that of the first, moved past the second's bits (a multiplication by a power of
  /// x), plus that of the second.
  package mutating func append(_ other: CRC32, byteCount: Int) {
    if value != 0 {
      for (bit, power) in Self.powers.enumerated() where byteCount >> bit & 1 == 1 {
        value = Self.product(power, value)
      }
    }
    value ^= other.value
  }

  /// That of runs of bytes one after the other, given with their places in any order.
  package init(_ runs: [(offset: Int, byteCount: Int, crc: CRC32)]) {
    for run in runs.sorted(by: { $0.offset < $1.offset }) { append(run.crc, byteCount: run.byteCount) }
  }

  /// x to the power of eight times 1, 2, 4, 8 and so on, modulo the polynomial.
  private static let powers: [UInt32] = {
    var powers = [UInt32(1) << 23]
    while powers.count < Int.bitWidth - 1 { powers.append(product(powers.last!, powers.last!)) }
    return powers
  }()

  /// The product of two polynomials modulo the CRC's, the highest power in the lowest bit.
  private static func product(_ one: UInt32, _ two: UInt32) -> UInt32 {
    var (sum, two) = (UInt32(0), two)
    for bit in stride(from: 31, through: 0, by: -1) {
      if one >> UInt32(bit) & 1 == 1 { sum ^= two }
      two = two & 1 == 1 ? (two >> 1) ^ 0xEDB8_8320 : two >> 1
    }
    return sum
  }
}
