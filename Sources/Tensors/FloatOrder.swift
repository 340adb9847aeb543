/// The numbers of a floating-point type in their order: each has a place, and neighbours have neighbouring places.
///
/// Negative numbers have negative places: −0 stands at −1, +0 at 0. Types without −0 have no place −1.
struct FloatOrder {
  let dtype: DType
  private let eightBit: EightBitRounding?

  /// The order of whichever type has the shorter significand.
  init(coarserOf left: DType, _ right: DType) {
    dtype = DType.coarser(left, right)
    eightBit = EightBitFloat.format(of: dtype).map(EightBitRounding.init)
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

/// Rounding to a format of eight bits, to the nearest, ties to even; e8m0 takes ties up, as PyTorch does.
///
/// Source: PyTorch `c10/util/Float8_*.h`.
private struct EightBitRounding {
  /// The numbers from 0 on, by pattern; behind the largest one what would follow it.
  private let magnitudes: [Double]
  private let specials: EightBitFloat.Specials

  init(_ format: EightBitFloat) {
    specials = format.specials
    let patterns = specials == .exponentOnly ? 0...254 : 0...127
    var finite = patterns.map { Double(format.value(UInt8($0))) }.filter { $0.isFinite }
    let last = finite[finite.count - 1]
    finite.append(specials == .exponentOnly ? 2 * last : 2 * last - finite[finite.count - 2])
    magnitudes = finite
  }

  /// The pattern of the nearest magnitude; one more than the largest number's for what lies beyond.
  private func pattern(_ magnitude: Double) -> Int {
    var low = 0
    var high = magnitudes.count - 1
    while low < high {
      let middle = (low + high + 1) / 2
      if magnitudes[middle] <= magnitude { low = middle } else { high = middle - 1 }
    }
    guard low + 1 < magnitudes.count, magnitude > magnitudes[low] else { return low }
    let halfway = (magnitudes[low] + magnitudes[low + 1]) / 2
    if magnitude == halfway { return specials == .exponentOnly ? low + 1 : low + low % 2 }
    return magnitude > halfway ? low + 1 : low
  }

  func key(of number: Double) -> Int64 {
    if number.isNaN { return 0 }
    let place = Int64(pattern(number.magnitude))
    guard number.sign == .minus else { return place }
    // Without a negative zero what rounds to zero is zero.
    return specials == .negativeZeroIsNaN ? -place : -place - 1
  }

  func isOverflow(_ number: Double) -> Bool {
    specials != .ieee && !number.isNaN && pattern(number.magnitude) == magnitudes.count - 1
  }
}

extension DType {
  /// Floating-point types from the coarsest to the finest, by the bits of their significands.
  private static let byFineness: [DType] = [
    .float8_e8m0fnu, .float8_e5m2fnuz, .float8_e5m2, .float8_e4m3fnuz, .float8_e4m3fn, .bfloat16, .float16,
    .float32, .float64,
  ]

  /// Of two floating-point or complex types, the one whose numbers have fewer digits; the first when there is neither.
  public static func coarser(_ left: DType, _ right: DType) -> DType {
    let parts = (left.part ?? left, right.part ?? right)
    guard let first = byFineness.firstIndex(of: parts.0), let second = byFineness.firstIndex(of: parts.1)
    else { return left }
    return first <= second ? left : right
  }
}
