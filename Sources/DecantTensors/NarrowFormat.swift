internal import CNarrowing

/// A 16-bit format that float32 numbers are rounded to, to nearest, ties to even.
///
/// Conversions have no branches, so that the compiler can vectorise them where the processor has no
/// instructions for them.
protocol NarrowFormat {
  /// Returns the pattern of the nearest number.
  static func narrowed(_ bits: UInt32) -> UInt32
  /// Narrows numbers with the processor's own instructions. Returns the number of leading elements that were
  /// converted.
  static func narrowWide(
    _ source: UnsafePointer<UInt32>, _ target: UnsafeMutablePointer<UInt16>, _ count: Int,
    _ loss: inout cnarrowing_loss
  ) -> Int
  /// The pattern of infinity.
  static var infinity: UInt32 { get }
}

/// float16: five bits of exponent, ten of mantissa.
enum Float16Format: NarrowFormat {
  /// Returns the number that a pattern stands for. It has no branches, like the casts.
  @inline(__always)
  static func widened(_ pattern: UInt16) -> Float {
    let bits = UInt32(pattern)
    let magnitude = bits & 0x7FFF
    let normal = (magnitude &<< 13) &+ 0x3800_0000
    // Signalling NaNs become quiet.
    let special = (magnitude &<< 13) | (magnitude > 0x7C00 ? 0x7FC0_0000 : 0x7F80_0000)
    let subnormal = (Float(magnitude) * 0x1p-24).bitPattern
    let finite = magnitude < 0x400 ? subnormal : normal
    return Float(bitPattern: (magnitude < 0x7C00 ? finite : special) | ((bits & 0x8000) &<< 16))
  }

  static var infinity: UInt32 { 0x7C00 }

  @inline(__always)
  static func narrowed(_ bits: UInt32) -> UInt32 {
    let magnitude = bits & 0x7FFF_FFFF
    // Rebiases the exponent and adds half of the discarded bits, less one when the last kept bit is even.
    let normal = (magnitude &+ 0xC800_0FFF &+ ((magnitude &>> 13) & 1)) &>> 13
    // Below the smallest normal number, adding 0.5 aligns the last kept bit with the end of the mantissa,
    // where the addition rounds.
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

/// bfloat16: the upper half of a float32. Every NaN becomes 0x7FC0.
///
/// Source: PyTorch `c10/util/BFloat16.h`, `round_to_nearest_even`.
enum BFloat16Format: NarrowFormat {
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
  /// Narrows numbers one by one, and counts those that became infinite and those that became zero.
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

/// Returns the pattern of the bfloat16 nearest to a number, ties to even. Every NaN becomes 0x7FC0.
func bfloat16Pattern(_ value: Float) -> UInt16 {
  UInt16(truncatingIfNeeded: BFloat16Format.narrowed(value.bitPattern))
}

/// Returns the pattern of the bfloat16 nearest to a double, rounded once.
func bfloat16Pattern(_ value: Double) -> UInt16 {
  var nearest = Float(value)
  // Rounding to odd in the intermediate float keeps the second rounding correct.
  if nearest.isFinite, Double(nearest) != value, nearest.bitPattern & 1 == 0 {
    let isTooLarge = Double(nearest.magnitude) > value.magnitude
    nearest = Float(bitPattern: isTooLarge ? nearest.bitPattern - 1 : nearest.bitPattern + 1)
  }
  return bfloat16Pattern(nearest)
}
