/// A stateless random number generator: each number is a pure function of a seed, a name and an index.
///
/// It uses an integer hash and exact float32 steps, and no libm, so `fixtures/synthesis.py` computes the same bits.
/// Source of the constants: SplitMix64's increment and finaliser, and 64-bit FNV-1a.
package struct CounterHash: Sendable {
  private let origin: UInt64
  private static let golden: UInt64 = 0x9E37_79B9_7F4A_7C15

  /// Creates the generator for a seed and a name.
  package init(seed: UInt64, name: String) {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    origin = Self.mix(hash ^ Self.mix(seed &+ Self.golden))
  }

  /// Returns 64 random bits for an index.
  @inline(__always)
  package func bits(_ index: UInt64) -> UInt64 { Self.mix(origin &+ (index &+ 1) &* Self.golden) }

  /// Returns a multiple of 2⁻²³ in [−1, 1) for an index.
  @inline(__always)
  package func unit(_ index: UInt64) -> Float {
    Float(Int32(truncatingIfNeeded: bits(index) >> 40) &- (1 << 23)) * 0x1p-23
  }

  private static func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z ^= z >> 30
    z &*= 0xBF58_476D_1CE4_E5B9
    z ^= z >> 27
    z &*= 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
