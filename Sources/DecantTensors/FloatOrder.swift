/// The numbers of a floating-point type as ordered integer keys. Neighbouring numbers have neighbouring keys.
///
/// Negative numbers have negative keys: −0 has −1, +0 has 0. Types without −0 have no key −1.
struct FloatOrder {
  let dtype: DType
  private let eightBit: EightBitFloat?

  /// Creates the order of the type with the shorter significand.
  init(coarserOf left: DType, _ right: DType) {
    dtype = DType.coarser(left, right)
    eightBit = EightBitFloat.format(of: dtype)
  }

  /// Computes the keys of numbers, each rounded to the nearest of the type, ties to even. The key of a NaN
  /// has no meaning. O(count).
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

  /// Computes the keys of finite numbers like ``keys(of:into:)-([Double],_)``. O(count).
  ///
  /// - Parameter patterns: memory for the numbers in a narrower type, kept between calls.
  /// - Returns: false, with no keys, for types that are not float32, float16 or bfloat16.
  func keys(of numbers: [Float], _ patterns: inout [UInt16], into keys: inout [Int32]) -> Bool {
    if keys.count != numbers.count { keys = Array(repeating: 0, count: numbers.count) }
    func narrow<Format: NarrowFormat>(_ format: Format.Type) {
      if patterns.count < numbers.count { patterns = Array(repeating: 0, count: numbers.count) }
      unsafe patterns.withUnsafeMutableBufferPointer { patterns in
        unsafe numbers.withUnsafeBytes { bytes in
          if let source = unsafe bytes.assumingMemoryBound(to: UInt32.self).baseAddress,
            let target = patterns.baseAddress
          {
            _ = unsafe Format.narrow(source, target, numbers.count)
          }
        }
      }
      unsafe keys.withUnsafeMutableBufferPointer { keys in
        for index in keys.indices { unsafe keys[index] = Self.key(Int16(bitPattern: patterns[index])) }
      }
    }
    switch dtype {
    case .float32:
      unsafe keys.withUnsafeMutableBufferPointer { keys in
        for index in keys.indices {
          unsafe keys[index] = Self.key(Int32(bitPattern: numbers[index].bitPattern))
        }
      }
    case .float16: narrow(Float16Format.self)
    case .bfloat16: narrow(BFloat16Format.self)
    default: return false
    }
    return true
  }

  /// Returns true when a number becomes NaN in the type because the type has no infinity.
  func isOverflow(_ number: Double) -> Bool { eightBit?.isOverflow(number) ?? false }

  /// Returns the key of a bit pattern. Positive patterns are their own keys; negative ones count from −1
  /// downwards.
  private static func key<Pattern: FixedWidthInteger & SignedInteger, Key: FixedWidthInteger & SignedInteger>(
    _ pattern: Pattern
  ) -> Key {
    Key(truncatingIfNeeded: pattern >= 0 ? pattern : pattern ^ .max)
  }
}

extension EightBitFloat {
  /// Returns the key of the nearest number. Numbers beyond the range have infinity's key or, in types without
  /// infinity, the largest number's. Casts to such types give the largest number or NaN (OCP "8-bit Floating
  /// Point Specification" 1.0, 5.2.1).
  fileprivate func key(of number: Double) -> Int64 {
    if number.isNaN { return 0 }
    if specials == .exponentOnly { return powerOfTwo(number) }
    let (pattern, isFinite) = nearest(to: number)
    let largest: Int64 = specials == .allOnesIsNaN ? 0x7E : 0x7F
    let place = isFinite || specials == .ieee ? Int64(pattern & 0x7F) : largest
    guard number.sign == .minus else { return place }
    return specials == .negativeZeroIsNaN ? -place : -place - 1
  }

  /// Returns true when a number becomes NaN because the format has no infinity.
  fileprivate func isOverflow(_ number: Double) -> Bool {
    if number.isNaN || specials == .ieee { return false }
    return specials == .exponentOnly ? number >= 0x1.8p127 : !nearest(to: number).isFinite
  }

  /// Returns the key of the nearest power of two in e8m0, which has no sign. Key 0 is 2⁻¹²⁷. Ties round up,
  /// as in PyTorch.
  private func powerOfTwo(_ number: Double) -> Int64 {
    if number < 0 { return -1 }
    guard number >= Double(value(0)) else { return 0 }
    guard number.isFinite else { return 254 }
    return min(254, Int64(number.exponent) + Int64(bias) + (number.significand >= 1.5 ? 1 : 0))
  }
}

extension DType {
  /// Floating-point types from the coarsest to the finest, by the number of significand bits.
  private static let byFineness: [DType] = [
    .float8_e8m0fnu, .float8_e5m2fnuz, .float8_e5m2, .float8_e4m3fnuz, .float8_e4m3fn, .bfloat16, .float16,
    .float32, .float64,
  ]

  /// Returns the floating-point or complex type with the shorter significand; `left` when one has none.
  package static func coarser(_ left: DType, _ right: DType) -> DType {
    let parts = (left.part ?? left, right.part ?? right)
    guard let first = byFineness.firstIndex(of: parts.0), let second = byFineness.firstIndex(of: parts.1)
    else { return left }
    return first <= second ? left : right
  }
}
