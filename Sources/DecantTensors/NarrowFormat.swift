internal import CNarrowing

/// What float32 numbers are in a 16-bit format, rounded to nearest, ties to even; written without branches, so that the
/// compiler does many at once where the processor has no instructions for it.
protocol NarrowFormat {
  /// The pattern of the nearest number.
  static func narrowed(_ bits: UInt32) -> UInt32
  /// Narrows numbers with the processor's own instructions; returns how many from the first on were done.
  static func narrowWide(
    _ source: UnsafePointer<UInt32>, _ target: UnsafeMutablePointer<UInt16>, _ count: Int,
    _ loss: inout cnarrowing_loss
  ) -> Int
  /// The pattern of infinity.
  static var infinity: UInt32 { get }
}

/// float16: five bits of exponent, ten of mantissa.
enum HalfFormat: NarrowFormat {
  static var infinity: UInt32 { 0x7C00 }

  @inline(__always)
  static func narrowed(_ bits: UInt32) -> UInt32 {
    let magnitude = bits & 0x7FFF_FFFF
    // Another bias of the exponent, and half of what is cut off, less a bit where the last that stays is even.
    let normal = (magnitude &+ 0xC800_0FFF &+ ((magnitude &>> 13) & 1)) &>> 13
    // Below the least normal number, an addition of 0.5 brings the last bit that stays to the end of the mantissa, and
    // rounds there.
    let subnormal = (Float(bitPattern: magnitude) + 0.5).bitPattern &- 0x3F00_0000
    let finite = magnitude < 0x3880_0000 ? subnormal : normal
    let large = magnitude > 0x7F80_0000 ? 0x7E00 | ((magnitude &>> 13) & 0x3FF) : infinity
    return (magnitude >= 0x4780_0000 ? large : finite) | ((bits &>> 16) & 0x8000)
  }

  static func narrowWide(
    _ source: UnsafePointer<UInt32>, _ target: UnsafeMutablePointer<UInt16>, _ count: Int,
    _ loss: inout cnarrowing_loss
  ) -> Int { unsafe cnarrowing_float16(source, target, count, &loss) }
}

/// bfloat16: the upper half of a float32; every NaN becomes 0x7FC0.
///
/// Source: PyTorch `c10/util/BFloat16.h`, `round_to_nearest_even`.
enum BrainFormat: NarrowFormat {
  static var infinity: UInt32 { 0x7F80 }

  @inline(__always)
  static func narrowed(_ bits: UInt32) -> UInt32 {
    let nearest = (bits &+ 0x7FFF &+ ((bits &>> 16) & 1)) &>> 16
    return bits & 0x7FFF_FFFF > 0x7F80_0000 ? 0x7FC0 : nearest
  }

  static func narrowWide(
    _ source: UnsafePointer<UInt32>, _ target: UnsafeMutablePointer<UInt16>, _ count: Int,
    _ loss: inout cnarrowing_loss
  ) -> Int { unsafe cnarrowing_bfloat16(source, target, count, &loss) }
}

extension NarrowFormat {
  /// Narrows numbers one after the other; counts those that became infinite and those that became zero.
  @inline(__always)
  static func narrow(
    _ source: UnsafePointer<UInt32>, _ target: UnsafeMutablePointer<UInt16>, _ count: Int
  ) -> (overflowed: Int, underflowed: Int) {
    var loss = cnarrowing_loss()
    let done = unsafe narrowWide(source, target, count, &loss)
    var (over, under): (UInt32, UInt32) = (0, 0)
    for index in done..<count {
      let bits = unsafe source[index]
      let nearest = narrowed(bits)
      unsafe target[index] = UInt16(truncatingIfNeeded: nearest)
      let (before, after) = (bits & 0x7FFF_FFFF, nearest & 0x7FFF)
      over &+= (before < 0x7F80_0000 ? 1 : 0) & (after == infinity ? 1 : 0)
      under &+= (before != 0 ? 1 : 0) & (after == 0 ? 1 : 0)
    }
    return (loss.overflowed + Int(over), loss.underflowed + Int(under))
  }
}
