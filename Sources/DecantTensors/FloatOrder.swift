/// The numbers of a floating-point type in their order: each has a place, and neighbours have neighbouring places.
///
/// Negative numbers have negative places: −0 stands at −1, +0 at 0. Types without −0 have no place −1.
struct FloatOrder {
  let dtype: DType
  private let eightBit: EightBitFloat?

  /// The order of whichever type has the shorter significand.
  init(coarserOf left: DType, _ right: DType) {
    dtype = DType.coarser(left, right)
    eightBit = EightBitFloat.format(of: dtype)
  }

  /// The places of numbers, each rounded to the type's nearest, ties to even; a NaN's place has no meaning. O(count).
  func keys(of numbers: [Double], into keys: inout [Int64]) {
    keys.removeAll(keepingCapacity: true)
    switch dtype {
    case .float64: for number in numbers { keys.append(Self.key(Int64(bitPattern: number.bitPattern))) }
    case .float32:
      for number in numbers { keys.append(Self.key(Int32(bitPattern: Float(number).bitPattern))) }
    case .float16:
      for number in numbers { keys.append(Self.key(Int16(bitPattern: Float16(number).bitPattern))) }
    case .bfloat16:
      for number in numbers { keys.append(Self.key(Int16(bitPattern: bfloat16Pattern(number)))) }
    default:
      guard let eightBit else { return }
      for number in numbers { keys.append(eightBit.key(of: number)) }
    }
  }

  /// Whether a number becomes NaN in the type because it has no infinity.
  func isOverflow(_ number: Double) -> Bool { eightBit?.isOverflow(number) ?? false }

  /// The place of a pattern: the bits below the sign, for negative numbers from −1 downwards.
  private static func key<Pattern: FixedWidthInteger & SignedInteger>(_ pattern: Pattern) -> Int64 {
    Int64(pattern >= 0 ? pattern : pattern ^ .max)
  }
}

extension EightBitFloat {
  /// The place of the number's nearest; what is too large has infinity's or, where there is none, the largest number's:
  /// casts to such types make one or NaN of it (OCP "8-bit Floating Point Specification" 1.0, 5.2.1).
  fileprivate func key(of number: Double) -> Int64 {
    if number.isNaN { return 0 }
    if specials == .exponentOnly { return powerOfTwo(number) }
    let (pattern, isFinite) = nearest(to: number)
    let largest: Int64 = specials == .allOnesIsNaN ? 0x7E : 0x7F
    let place = isFinite || specials == .ieee ? Int64(pattern & 0x7F) : largest
    guard number.sign == .minus else { return place }
    return specials == .negativeZeroIsNaN ? -place : -place - 1
  }

  /// Whether a number becomes NaN because there is no infinity.
  fileprivate func isOverflow(_ number: Double) -> Bool {
    if number.isNaN || specials == .ieee { return false }
    return specials == .exponentOnly ? number >= 0x1.8p127 : !nearest(to: number).isFinite
  }

  /// The place of the nearest power of two in e8m0: from 2⁻¹²⁷ at 0, ties up as PyTorch has them. There is no sign.
  private func powerOfTwo(_ number: Double) -> Int64 {
    if number < 0 { return -1 }
    guard number >= Double(value(0)) else { return 0 }
    guard number.isFinite else { return 254 }
    return min(254, Int64(number.exponent) + Int64(bias) + (number.significand >= 1.5 ? 1 : 0))
  }
}

extension DType {
  /// Floating-point types from the coarsest to the finest, by the bits of their significands.
  private static let byFineness: [DType] = [
    .float8_e8m0fnu, .float8_e5m2fnuz, .float8_e5m2, .float8_e4m3fnuz, .float8_e4m3fn, .bfloat16, .float16,
    .float32, .float64,
  ]

  /// Of two floating-point or complex types, the one whose numbers have fewer digits; the first when there is neither.
  package static func coarser(_ left: DType, _ right: DType) -> DType {
    let parts = (left.part ?? left, right.part ?? right)
    guard let first = byFineness.firstIndex(of: parts.0), let second = byFineness.firstIndex(of: parts.1)
    else { return left }
    return first <= second ? left : right
  }
}
