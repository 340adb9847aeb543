extension Tensor {
  /// Returns true when a cast to `target` changes this tensor. Only floating-point tensors are cast.
  package func isCast(to target: DType) -> Bool {
    dtype.kind == .floatingPoint && dtype != .float4_e2m1fn_x2 && dtype != target
  }
}

/// A cast between floating-point types: each number is rounded once, to nearest, ties to even.
///
/// Numbers beyond the target's range become infinite, or NaN in types without infinities, so that the
/// overflow is visible. ml_dtypes does the same; PyTorch 2.13 saturates to the largest number in
/// float8_e4m3fn. Source: IEEE 754-2019; OCP "8-bit Floating Point Specification" 1.0.
package struct Cast: Sendable {
  /// The dtypes that a cast can produce.
  package static let targets: [DType] = [
    .float64, .float32, .float16, .bfloat16, .float8_e4m3fn, .float8_e5m2, .float8_e4m3fnuz, .float8_e5m2fnuz,
  ]

  package let source: DType
  package let target: DType
  /// The number of finite numbers that overflowed the target's range.
  package internal(set) var overflowed = 0
  /// The number of non-zero numbers that became zero.
  package internal(set) var underflowed = 0

  /// Creates a cast of a tensor's elements; nil when `target` is not in ``targets`` or the cast would change
  /// nothing.
  package init?(_ tensor: Tensor, to target: DType) {
    guard tensor.isCast(to: target), Cast.targets.contains(target) else { return nil }
    source = tensor.dtype
    self.target = target
  }

  /// Casts little-endian elements. O(elements).
  ///
  /// - Parameters:
  ///   - elements: the source elements, aligned to their size.
  ///   - bytes: the output, with room for as many target elements, aligned to their size.
  package mutating func convert(
    _ elements: UnsafeRawBufferPointer, into bytes: UnsafeMutableRawBufferPointer
  ) {
    let count = elements.count / source.byteCount
    precondition(bytes.count == count * target.byteCount, "each element has its place")
    switch (source, target) {
    case (.float32, .float16): unsafe narrow(Float16Format.self, elements, into: bytes)
    case (.float32, .bfloat16): unsafe narrow(BFloat16Format.self, elements, into: bytes)
    case (.float64, .float32): unsafe narrowDoubles(elements, into: bytes, count)
    case (.bfloat16, .float32): unsafe map(elements, into: bytes) { (bits: UInt16) in UInt32(bits) << 16 }
    case (.float32, .float64):
      unsafe map(elements, into: bytes) { (bits: UInt32) in Double(Float(bitPattern: bits)).bitPattern }
    default:
      if source == .float32, let entries = EightBitFloat.narrowing(to: target) {
        unsafe narrow(elements, into: bytes, by: entries)
      } else {
        unsafe convertOneByOne(elements, into: bytes)
      }
    }
  }

  /// Casts bit patterns where the conversion is exact.
  @inline(__always)
  private func map<Narrow: FixedWidthInteger, Wide: FixedWidthInteger>(
    _ elements: UnsafeRawBufferPointer, into bytes: UnsafeMutableRawBufferPointer, _ body: (Narrow) -> Wide
  ) {
    let (size, wideSize) = (MemoryLayout<Narrow>.size, MemoryLayout<Wide>.size)
    for index in 0..<elements.count / size {
      let bits = unsafe elements.loadUnaligned(fromByteOffset: size * index, as: Narrow.self)
      unsafe bytes.storeBytes(of: body(bits), toByteOffset: wideSize * index, as: Wide.self)
    }
  }

  /// Casts float32 numbers to eight bits.
  private mutating func narrow(
    _ elements: UnsafeRawBufferPointer, into bytes: UnsafeMutableRawBufferPointer, by entries: [UInt16]
  ) {
    var (over, under) = (0, 0)
    unsafe entries.withUnsafeBufferPointer { entries in
      for index in 0..<bytes.count {
        let bits = unsafe elements.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self)
        let entry = unsafe entries[Int(bits >> 16 | (bits & 0xFFFF != 0 ? 1 : 0))]
        unsafe bytes[index] = UInt8(truncatingIfNeeded: entry)
        over += Int(entry >> 8 & 1)
        under += Int(entry >> 9)
      }
    }
    overflowed += over
    underflowed += under
  }

  private mutating func narrowDoubles(
    _ elements: UnsafeRawBufferPointer, into bytes: UnsafeMutableRawBufferPointer, _ count: Int
  ) {
    var (over, under) = (0, 0)
    for index in 0..<count {
      let number = unsafe elements.loadUnaligned(fromByteOffset: 8 * index, as: Double.self)
      let nearest = Float(number)
      over += nearest.isInfinite && number.isFinite ? 1 : 0
      under += nearest == 0 && number != 0 ? 1 : 0
      unsafe bytes.storeBytes(of: nearest.bitPattern, toByteOffset: 4 * index, as: UInt32.self)
    }
    overflowed += over
    underflowed += under
  }

  /// Casts float32 numbers, aligned to their size, to a 16-bit format.
  private mutating func narrow<F: NarrowFormat>(
    _ format: F.Type, _ elements: UnsafeRawBufferPointer, into bytes: UnsafeMutableRawBufferPointer
  ) {
    guard let source = unsafe elements.bindMemory(to: UInt32.self).baseAddress,
      let target = unsafe bytes.bindMemory(to: UInt16.self).baseAddress
    else { return }
    let counts = unsafe F.narrow(source, target, elements.count / 4)
    overflowed += counts.overflowed
    underflowed += counts.underflowed
  }

  private mutating func convertOneByOne(
    _ elements: UnsafeRawBufferPointer, into bytes: UnsafeMutableRawBufferPointer
  ) {
    var numbers: [Double] = []
    numbers.reserveCapacity(elements.count / source.byteCount)
    // Cannot throw: the initializer accepts only floating-point types, which are all readable as numbers.
    try? unsafe appendNumbers(of: elements, source, to: &numbers)
    let format = EightBitFloat.format(of: target)
    let size = target.byteCount
    for (index, number) in numbers.enumerated() {
      let (pattern, isInfinite, isZero): (UInt64, Bool, Bool)
      switch target {
      case .float64: (pattern, isInfinite, isZero) = (number.bitPattern, number.isInfinite, number == 0)
      case .float32:
        let nearest = Float(number)
        (pattern, isInfinite, isZero) = (UInt64(nearest.bitPattern), nearest.isInfinite, nearest == 0)
      case .float16:
        let nearest = Float16(number)
        (pattern, isInfinite, isZero) = (UInt64(nearest.bitPattern), nearest.isInfinite, nearest == 0)
      case .bfloat16:
        let nearest = bfloat16Pattern(number)
        (pattern, isInfinite, isZero) = (UInt64(nearest), nearest & 0x7FFF == 0x7F80, nearest & 0x7FFF == 0)
      default:
        let nearest = format?.nearest(to: number) ?? (pattern: 0, isFinite: true)
        (pattern, isInfinite, isZero) = (
          UInt64(nearest.pattern), !nearest.isFinite, nearest.pattern & 0x7F == 0
        )
      }
      if isInfinite, number.isFinite { overflowed += 1 }
      if isZero, !isInfinite, number != 0 { underflowed += 1 }
      for place in 0..<size {
        unsafe bytes[index * size + place] = UInt8(truncatingIfNeeded: pattern >> (8 * UInt64(place)))
      }
    }
  }
}

extension EightBitFloat {
  /// Returns the table that casts float32 to an 8-bit format.
  ///
  /// The index is the upper half of the float32, with its lowest bit set when the lower half is not zero. An
  /// entry is the 8-bit pattern, plus 256 when a finite number overflows, plus 512 when a non-zero number
  /// becomes zero.
  ///
  /// The index is the number rounded to odd. An upper half has at least two more mantissa bits than the
  /// target, so rounding to odd keeps the order relative to the 8-bit numbers and their midpoints. Source:
  /// Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to
  /// odd", 2008.
  static func narrowing(to dtype: DType) -> [UInt16]? {
    switch dtype {
    case .float8_e5m2: toE5M2
    case .float8_e4m3fn: toE4M3FN
    case .float8_e5m2fnuz: toE5M2FNUZ
    case .float8_e4m3fnuz: toE4M3FNUZ
    default: nil
    }
  }

  private static let toE5M2 = entries(.float8_e5m2)
  private static let toE4M3FN = entries(.float8_e4m3fn)
  private static let toE5M2FNUZ = entries(.float8_e5m2fnuz)
  private static let toE4M3FNUZ = entries(.float8_e4m3fnuz)

  private static func entries(_ dtype: DType) -> [UInt16] {
    guard let format = format(of: dtype) else { return [] }
    return (0..<UInt32(1 << 16)).map { upper in
      let number = Double(Float(bitPattern: upper << 16))
      let (pattern, isFinite) = format.nearest(to: number)
      let overflows = !isFinite && number.isFinite
      let underflows = isFinite && pattern & 0x7F == 0 && number != 0
      return UInt16(pattern) | (overflows ? 256 : 0) | (underflows ? 512 : 0)
    }
  }
}
