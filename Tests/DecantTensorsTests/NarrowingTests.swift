import Testing

@testable import DecantTensors

@Suite struct NarrowingTests {
  /// Patterns of every exponent and sign, with mantissas at, below and above the discarded part, and random
  /// ones. Before them come thirty-two of each around the magnitudes where numbers start to become zero or
  /// infinity, because a vector batch checks that many at once.
  private static let patterns: [UInt32] = {
    var patterns: [UInt32] = []
    for edge: UInt32 in [0, 0x8000, 0x3300_0000, 0x477F_F000, 0x7F7F_8000, 0x7F80_0000] {
      for pattern in [edge &- 1, edge, edge + 1] {
        for sign: UInt32 in [0, 1 << 31] { patterns += [UInt32](repeating: pattern ^ sign, count: 32) }
      }
    }
    for upper in 0..<UInt32(1 << 9) {
      for mantissa: UInt32 in [
        0, 1, 0xFFF, 0x1000, 0x1001, 0x3000, 0x7FFF, 0x8000, 0x8001, 0x1_8000, 0x7F_FFFF,
      ] {
        patterns.append(upper << 23 | mantissa)
      }
    }
    var state: UInt32 = 7
    for _ in 0..<1_000_003 {
      state = state &* 1_664_525 &+ 1_013_904_223
      patterns.append(state)
    }
    return patterns
  }()

  private func check<F: NarrowFormat>(_ format: F.Type) {
    var found = [UInt16](repeating: 0, count: Self.patterns.count)
    let loss = Self.patterns.withUnsafeBufferPointer { source in
      found.withUnsafeMutableBufferPointer { target in
        F.narrow(source.baseAddress!, target.baseAddress!, source.count)
      }
    }
    let expected = Self.patterns.map { UInt16(truncatingIfNeeded: F.narrowed($0)) }
    #expect(found == expected)
    let pairs = zip(Self.patterns, expected).map { ($0 & 0x7FFF_FFFF, UInt32($1 & 0x7FFF)) }
    #expect(loss.overflowed == pairs.count { $0 < 0x7F80_0000 && $1 == F.infinity })
    #expect(loss.underflowed == pairs.count { $0 != 0 && $1 == 0 })
  }

  /// Compares the lookup table of upper halves with the arithmetic conversion.
  @Test(arguments: [DType.float8_e5m2, .float8_e4m3fn, .float8_e5m2fnuz, .float8_e4m3fnuz])
  func eightBitsAreTheNearest(_ dtype: DType) throws {
    let tensor = try Tensor([0 as Float], shape: [1])
    let format = try #require(EightBitFloat.format(of: dtype))
    var cast = try #require(Cast(tensor, to: dtype))
    var found = [UInt8](repeating: 0, count: Self.patterns.count)
    Self.patterns.withUnsafeBytes { source in
      found.withUnsafeMutableBytes { cast.convert(source, into: $0) }
    }
    var (overflowed, underflowed) = (0, 0)
    let expected = Self.patterns.map { bits in
      let number = Double(Float(bitPattern: bits))
      let nearest = format.nearest(to: number)
      if !nearest.isFinite, number.isFinite { overflowed += 1 }
      if nearest.isFinite, nearest.pattern & 0x7F == 0, number != 0 { underflowed += 1 }
      return nearest.pattern
    }
    #expect(found == expected && cast.overflowed == overflowed && cast.underflowed == underflowed)
  }

  /// Compares the vector instructions with the scalar conversion.
  @Test func everyWayGivesTheSame() {
    check(Float16Format.self)
    check(BFloat16Format.self)
  }
}
