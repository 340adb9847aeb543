internal import CStandard
package import DecantBytes

/// The differences between the numbers of two tensors, measured in one pass.
///
/// The measures for two elements x and y with the same index, each exact in float64 (or as integers, when
/// both are):
///
/// - absolute difference: |x − y|
/// - relative difference: |x − y| / max(|x|, |y|), at most 2; 0 where both are 0
/// - ULP: the number of steps from x to y through the numbers of their type. −0 and +0 are neighbours, and
///   infinity follows the largest number. Of two floating-point types the coarser one counts, and the other's
///   number is first rounded to it, to nearest, ties to even. For integers it is |x − y|.
/// - cosine: Σxy / √(Σx² · Σy²) over the elements that are finite in both
///
/// Two NaNs are equal, and so are two infinities of one sign. A NaN differs from any number by infinity, and
/// so does an infinity from any other number. Complex numbers are compared part by part.
package struct TensorDifference: Sendable {
  /// The number of compared elements. A complex element counts as its two parts.
  package fileprivate(set) var elementCount = 0
  /// The number of elements that differ in value or in the sign of zero.
  package fileprivate(set) var differingCount = 0
  /// The number of elements that are NaN in only one of the tensors.
  package fileprivate(set) var nanCount = 0
  /// The number of elements beyond every tolerance; ``differingCount`` when there is none.
  package fileprivate(set) var toleranceExceededCount = 0
  package fileprivate(set) var maxAbsolute = 0.0
  package fileprivate(set) var maxRelative = 0.0
  /// The largest number of steps between two elements; nil when an integer type is compared with a
  /// floating-point one. Pairs of a NaN and a number are counted in ``nanCount``, not here.
  package fileprivate(set) var maxULP: UInt128?
  /// The cosine similarity; nil when a sum is 0 or overflows float64.
  package fileprivate(set) var cosine: Double?
  /// True when one tensor is the other rounded once to its own coarser floating-point type, to nearest, ties
  /// to even. Numbers beyond the range of a type without infinity may have become the largest number or NaN.
  package fileprivate(set) var isRoundedCopy = false
}

/// The allowed difference between two elements. It is enough to satisfy one of the limits.
package struct Tolerance: Sendable {
  package var absolute: Double?
  package var relative: Double?
  package var ulp: UInt64?

  /// Creates a tolerance. A nil limit allows no difference.
  package init(absolute: Double? = nil, relative: Double? = nil, ulp: UInt64? = nil) {
    self.absolute = absolute
    self.relative = relative
    self.ulp = ulp
  }

  /// True when a difference can be allowed.
  fileprivate var isSet: Bool { absolute != nil || relative != nil || ulp != nil }

  /// Returns true when a difference is within one of the limits. Differences without a number of steps pass nil.
  fileprivate func allows(_ absolute: Double, _ relative: Double, _ ulp: UInt64?) -> Bool {
    self.absolute.map { absolute <= $0 } == true || self.relative.map { relative <= $0 } == true
      || self.ulp.flatMap { limit in ulp.map { $0 <= limit } } == true
  }
}

/// An error of reading one of two compared tensors.
package struct TensorComparisonError: Error {
  /// True when the second tensor could not be read.
  package let isSecondTensor: Bool
  /// The error of reading the tensor.
  package let cause: DecantError

  init(isSecondTensor: Bool, cause: any Error) {
    self.isSecondTensor = isSecondTensor
    self.cause = DecantError(reading: cause)
  }
}

extension DecantError {
  /// Converts the error of a comparison to the library's error.
  package init(_ error: TensorComparisonError) { self = error.cause }

  /// Converts an error of reading, such as a cancelled task's, to the library's error.
  package init(reading error: any Error) {
    self = error as? DecantError ?? DecantError(.readFailed, "cannot be read: \(error)")
  }
}

extension Tensor {
  /// Returns true when the dtypes and all bits of the elements in row-major order are equal. Shapes may
  /// differ.
  ///
  /// Stops at the first difference. Memory: two chunks. O(elements).
  ///
  /// - Throws: ``TensorComparisonError``.
  package func hasSameBits(as other: Tensor) throws -> Bool {
    guard dtype == other.dtype, elementCount == other.elementCount else { return false }
    var isSame = true
    // Packed elements may leave bits of the last byte unused.
    let perByte = dtype.elementsPerByte
    let unused = elementCount % perByte == 0 ? 0 : 8 - elementCount % perByte * (8 / perByte)
    var left = byteCount
    try unsafe readPairwise(other, units: (1 << 17) / dtype.byteCount) { one, two in
      left -= one.count
      if left == 0, unused > 0 {
        unsafe one[one.count - 1] &= 0xFF >> UInt8(unused)
        unsafe two[two.count - 1] &= 0xFF >> UInt8(unused)
      }
      isSame = unsafe cstandard_compare(one.baseAddress!, two.baseAddress!, one.count) == 0
      return isSame
    }
    return isSame
  }

  /// Measures the differences between this tensor and another of the same shape.
  ///
  /// Memory: a few chunks. O(elements).
  ///
  /// - Returns: nil when a dtype is not read as numbers (see ``DType/isMeasurable``) or the shapes differ.
  /// - Throws: ``TensorComparisonError``.
  package func difference(from other: Tensor, tolerance: Tolerance = Tolerance()) throws -> TensorDifference?
  {
    guard shape == other.shape, dtype.isMeasurable, other.dtype.isMeasurable else { return nil }
    let isComplex = dtype.kind == .complex || other.dtype.kind == .complex
    var one = NumberChunk(dtype, isComplex: isComplex)
    var two = NumberChunk(other.dtype, isComplex: isComplex)
    var meter = DifferenceAccumulator(one.part, two.part, tolerance)
    try unsafe readPairwise(other, units: 1 << 13) { left, right in
      do {
        try unsafe one.load(UnsafeRawBufferPointer(left))
        try unsafe two.load(UnsafeRawBufferPointer(right))
      } catch { throw TensorComparisonError(isSecondTensor: false, cause: error) }
      switch (one.kind, two.kind) {
      case (.integers, .integers): meter.add(one.integers, two.integers)
      case (.integers, _): meter.add(one.integers, two.asDoubles)
      case (_, .integers): meter.add(two.integers, one.asDoubles)
      case (.floats, .floats): meter.add(one.floats, two.floats)
      default: meter.add(one.asDoubles, two.asDoubles)
      }
      return true
    }
    return meter.finished
  }

  /// Calls `body` with the same elements of two tensors of equal element count, until it returns false.
  private func readPairwise(
    _ other: Tensor, units: Int,
    _ body: (UnsafeMutableRawBufferPointer, UnsafeMutableRawBufferPointer) throws -> Bool
  ) throws {
    func reading<T>(_ isSecondTensor: Bool, _ read: () throws -> T) throws(TensorComparisonError) -> T {
      do { return try read() } catch {
        throw TensorComparisonError(isSecondTensor: isSecondTensor, cause: error)
      }
    }
    var one = try reading(false) { try RowMajorReader(self) }
    var two = try reading(true) { try RowMajorReader(other) }
    let count = byteCount / dtype.byteCount
    let widths = (dtype.byteCount, other.dtype.byteCount)
    let piece = min(units, count)
    let left = UnsafeMutableRawBufferPointer.allocate(byteCount: piece * widths.0, alignment: 64)
    defer { unsafe left.deallocate() }
    let right = UnsafeMutableRawBufferPointer.allocate(byteCount: piece * widths.1, alignment: 64)
    defer { unsafe right.deallocate() }
    var done = 0
    while done < count {
      let next = min(piece, count - done)
      let (first, second) = unsafe (
        UnsafeMutableRawBufferPointer(rebasing: left[..<(next * widths.0)]),
        UnsafeMutableRawBufferPointer(rebasing: right[..<(next * widths.1)])
      )
      try reading(false) { try unsafe one.read(into: first) }
      try reading(true) { try unsafe two.read(into: second) }
      guard try unsafe body(first, second) else { return }
      done += next
    }
  }
}

extension DType {
  /// True when elements are numbers that can be compared: all but bits, quantised types and types smaller
  /// than a byte.
  package var isMeasurable: Bool {
    switch self {
    case .float4_e2m1fn_x2, .int1, .int2, .int3, .int4, .int5, .int6, .int7, .uint1, .uint2, .uint3, .uint4,
      .uint5, .uint6, .uint7:
      false
    default: kind != .bits && kind != .quantized
    }
  }
}

/// A chunk of one tensor as numbers, which are exact.
private struct NumberChunk {
  /// The type that is computed with.
  enum Kind {
    /// For float32, float16 and bfloat16.
    case floats
    /// For int64 and uint64.
    case integers
    /// For all other types.
    case doubles
  }

  /// The dtype, or that of a complex number's parts.
  let part: DType
  let kind: Kind
  private(set) var floats: [Float] = []
  private(set) var integers: [Int128] = []
  private var doubles: [Double] = []
  /// True when the numbers are real but get imaginary parts of 0, because the other tensor is complex.
  private let isWidened: Bool

  init(_ dtype: DType, isComplex: Bool) {
    part = dtype.part ?? dtype
    kind =
      switch part {
      case .float32, .float16, .bfloat16: .floats
      case .int64, .uint64: .integers
      default: .doubles
      }
    isWidened = isComplex && dtype.part == nil
  }

  mutating func load(_ bytes: UnsafeRawBufferPointer) throws(DecantError) {
    switch kind {
    case .floats:
      floats.removeAll(keepingCapacity: true)
      try unsafe appendNumbers(of: bytes, part, to: &floats)
      if isWidened { floats = floats.flatMap { [$0, 0] } }
    case .integers:
      unsafe integers =
        part == .int64
        ? bytes.bindMemory(to: Int64.self).map { Int128($0) }
        : bytes.bindMemory(to: UInt64.self).map { Int128($0) }
      if isWidened { integers = integers.flatMap { [$0, 0] } }
    case .doubles:
      doubles.removeAll(keepingCapacity: true)
      try unsafe appendNumbers(of: bytes, part, to: &doubles)
      if isWidened { doubles = doubles.flatMap { [$0, 0] } }
    }
  }

  /// The numbers as float64; none for 64-bit integers, which it does not hold exactly.
  var asDoubles: [Double] { kind == .floats ? floats.map { Double($0) } : doubles }
}

/// Accumulates a ``TensorDifference`` chunk by chunk.
private struct DifferenceAccumulator {
  private var result = TensorDifference()
  private let tolerance: Tolerance
  private let unit: Unit
  private let isOfOneType: Bool
  private var dot = 0.0
  private var leftSquares = 0.0
  private var rightSquares = 0.0
  private var maxULP: UInt64 = 0
  private var maxWideULP: UInt128 = 0
  /// The number of NaNs opposite numbers that are not an overflow of a type without infinity.
  private var unmatchedNaNCount = 0
  private var leftKeys: [Int64] = []
  private var rightKeys: [Int64] = []
  private var floatKeys: (left: [Int32], right: [Int32]) = ([], [])
  private var patterns: [UInt16] = []

  /// The unit of a ULP step.
  private enum Unit {
    case place(FloatOrder)
    case one
    case none
  }

  init(_ left: DType, _ right: DType, _ tolerance: Tolerance) {
    self.tolerance = tolerance
    isOfOneType = left == right
    let floats = [left, right].map { $0.kind == .floatingPoint }
    unit =
      floats == [true, true]
      ? .place(FloatOrder(coarserOf: left, right)) : floats == [false, false] ? .one : .none
  }

  /// The measures of everything that was added.
  var finished: TensorDifference {
    var result = result
    let norm = leftSquares.squareRoot() * rightSquares.squareRoot()
    let cosine = dot / norm
    result.cosine = cosine.isFinite && norm.isFinite ? max(-1, min(1, cosine)) : nil
    switch unit {
    case .place:
      result.maxULP = UInt128(maxULP)
      result.isRoundedCopy = !isOfOneType && maxULP == 0 && unmatchedNaNCount == 0
    case .one: result.maxULP = max(UInt128(maxULP), maxWideULP)
    case .none: break
    }
    return result
  }

  /// Adds numbers of at most 32 bits. Finite ones are computed eight at a time.
  mutating func add(_ left: [Float], _ right: [Float]) {
    let width = 8
    guard case .place(let order) = unit, left.count >= width, Self.areFinite(left), Self.areFinite(right),
      order.keys(of: left, &patterns, into: &floatKeys.left),
      order.keys(of: right, &patterns, into: &floatKeys.right)
    else { return add(left.map { Double($0) }, right.map { Double($0) }) }
    let whole = left.count / width * width
    var sums = FloatSums(tolerance)
    unsafe left.withUnsafeBytes { left in
      unsafe right.withUnsafeBytes { right in
        unsafe floatKeys.left.withUnsafeBytes { leftKeys in
          unsafe floatKeys.right.withUnsafeBytes { rightKeys in
            for place in stride(from: 0, to: 4 * whole, by: 4 * width) {
              unsafe sums.add(
                left.loadUnaligned(fromByteOffset: place, as: SIMD8<Float>.self),
                right.loadUnaligned(fromByteOffset: place, as: SIMD8<Float>.self),
                keys: leftKeys.loadUnaligned(fromByteOffset: place, as: SIMD8<Int32>.self),
                rightKeys.loadUnaligned(fromByteOffset: place, as: SIMD8<Int32>.self))
            }
          }
        }
      }
    }
    result.elementCount += whole
    result.differingCount += Int(sums.differing.wrappedSum())
    result.toleranceExceededCount += tolerance.isSet ? sums.exceeding : Int(sums.differing.wrappedSum())
    result.maxAbsolute = max(result.maxAbsolute, sums.maxAbsolute.max())
    result.maxRelative = max(result.maxRelative, sums.maxRelative.max())
    maxULP = max(maxULP, UInt64(sums.maxSteps.max()))
    dot += sums.dot.sum()
    leftSquares += sums.leftSquares.sum()
    rightSquares += sums.rightSquares.sum()
    if whole < left.count {
      add(left[whole...].map { Double($0) }, right[whole...].map { Double($0) })
    }
  }

  private static func areFinite(_ numbers: [Float]) -> Bool {
    var largest: UInt32 = 0
    for number in numbers { largest = max(largest, number.bitPattern & 0x7FFF_FFFF) }
    return largest < 0x7F80_0000
  }

  mutating func add(_ left: [Double], _ right: [Double]) {
    result.elementCount += left.count
    var (hasPlaces, isWhole) = (false, false)
    switch unit {
    case .place(let order):
      order.keys(of: left, into: &leftKeys)
      order.keys(of: right, into: &rightKeys)
      hasPlaces = true
    case .one: isWhole = true
    case .none: break
    }
    // Summing each chunk first keeps rounding errors small.
    var sums = (0.0, 0.0, 0.0)
    for index in left.indices {
      let (x, y) = (left[index], right[index])
      let difference = (x - y).magnitude
      let ulp =
        hasPlaces ? steps(leftKeys[index], rightKeys[index]) : isWhole ? UInt64(difference) : 0
      if x.isFinite && y.isFinite {
        sums.0 += x * y
        sums.1 += x * x
        sums.2 += y * y
        if difference != 0 || ulp != 0 { note(difference, max(x.magnitude, y.magnitude), ulp) }
      } else {
        addNonFinite(x, y, ulp)
      }
    }
    dot += sums.0
    leftSquares += sums.1
    rightSquares += sums.2
  }

  private mutating func addNonFinite(_ x: Double, _ y: Double, _ ulp: UInt64) {
    if x == y || (x.isNaN && y.isNaN) { return }
    guard x.isNaN || y.isNaN else { return note(.infinity, .infinity, ulp) }
    result.nanCount += 1
    if case .place(let order) = unit, order.isOverflow(x.isNaN ? y : x) {} else { unmatchedNaNCount += 1 }
    noteNaN()
  }

  mutating func add(_ left: [Int128], _ right: [Int128]) {
    result.elementCount += left.count
    for index in left.indices {
      let (x, y) = (Double(left[index]), Double(right[index]))
      dot += x * y
      leftSquares += x * x
      rightSquares += y * y
      let steps = (left[index] - right[index]).magnitude
      guard steps > 0 else { continue }
      maxWideULP = max(maxWideULP, steps)
      note(Double(steps), max(x.magnitude, y.magnitude), UInt64(clamping: steps))
    }
  }

  /// Adds 64-bit integers and other numbers. Their order makes no difference, since all measures are
  /// symmetric.
  mutating func add(_ wide: [Int128], _ others: [Double]) {
    result.elementCount += wide.count
    for index in wide.indices {
      let y = others[index]
      let x = Double(wide[index])
      guard y.isFinite else {
        if y.isNaN {
          result.nanCount += 1
          noteNaN()
        } else {
          note(.infinity, .infinity, .max)
        }
        continue
      }
      dot += x * y
      leftSquares += x * x
      rightSquares += y * y
      // Adds back the part of the integer that float64 lost.
      let difference = ((x - y) + Double(wide[index] - Int128(x))).magnitude
      guard difference != 0 else { continue }
      if case .one = unit { maxWideULP = max(maxWideULP, (wide[index] - Int128(y)).magnitude) }
      note(difference, max(x.magnitude, y.magnitude), UInt64(min(difference, 0x1p63)))
    }
  }

  private func steps(_ left: Int64, _ right: Int64) -> UInt64 {
    UInt64(bitPattern: left < right ? right &- left : left &- right)
  }

  /// - Parameter scale: the larger magnitude of the two.
  private mutating func note(_ difference: Double, _ scale: Double, _ ulp: UInt64) {
    // Two numbers of one magnitude differ by at most twice that, even where the difference overflows.
    let relative =
      difference == 0 ? 0 : difference.isFinite ? difference / scale : scale.isFinite ? 2 : .infinity
    result.differingCount += 1
    result.maxAbsolute = max(result.maxAbsolute, difference)
    result.maxRelative = max(result.maxRelative, relative)
    maxULP = max(maxULP, ulp)
    if !tolerance.allows(difference, relative, hasUnit ? ulp : nil) { result.toleranceExceededCount += 1 }
  }

  private var hasUnit: Bool { if case .none = unit { false } else { true } }

  private mutating func noteNaN() {
    result.differingCount += 1
    result.toleranceExceededCount += 1
    result.maxAbsolute = .infinity
    result.maxRelative = .infinity
  }
}

/// The measures of eight pairs of finite numbers at a time.
private struct FloatSums {
  var dot = SIMD8<Double>()
  var leftSquares = SIMD8<Double>()
  var rightSquares = SIMD8<Double>()
  var maxAbsolute = SIMD8<Double>()
  var maxRelative = SIMD8<Double>()
  var maxSteps = SIMD8<UInt32>()
  var differing = SIMD8<UInt32>()
  /// The number of pairs beyond every tolerance, when there is one.
  var exceeding = 0
  let tolerance: Tolerance

  init(_ tolerance: Tolerance) { self.tolerance = tolerance }

  @inline(__always)
  mutating func add(
    _ left: SIMD8<Float>, _ right: SIMD8<Float>, keys: SIMD8<Int32>, _ rightKeys: SIMD8<Int32>
  ) {
    let (x, y) = (SIMD8<Double>(left), SIMD8<Double>(right))
    dot += x * y
    leftSquares += x * x
    rightSquares += y * y
    // Equal patterns are equal numbers, and −0 differs from +0.
    let patterns = unsafe (
      unsafeBitCast(left, to: SIMD8<UInt32>.self), unsafeBitCast(right, to: SIMD8<UInt32>.self)
    )
    let differs = patterns.0 .!= patterns.1
    let difference = Self.magnitude(x - y)
    let scale = Self.larger(Self.magnitude(x), Self.magnitude(y))
    let quotient = difference / scale.replacing(with: 1, where: scale .== 0)
    let distance = SIMD8<UInt32>(
      truncatingIfNeeded: pointwiseMax(keys, rightKeys) &- pointwiseMin(keys, rightKeys))
    maxAbsolute = Self.larger(maxAbsolute, difference)
    maxRelative = Self.larger(maxRelative, quotient)
    maxSteps = pointwiseMax(maxSteps, distance)
    differing &+= SIMD8<UInt32>().replacing(with: SIMD8(repeating: 1), where: differs)
    guard tolerance.isSet else { return }
    for lane in 0..<8 where differs[lane] {
      if !tolerance.allows(difference[lane], quotient[lane], UInt64(distance[lane])) { exceeding += 1 }
    }
  }

  /// Returns the larger of each two numbers, none of which is NaN.
  @inline(__always)
  private static func larger(_ left: SIMD8<Double>, _ right: SIMD8<Double>) -> SIMD8<Double> {
    left.replacing(with: right, where: right .> left)
  }

  @inline(__always)
  private static func magnitude(_ numbers: SIMD8<Double>) -> SIMD8<Double> {
    unsafe unsafeBitCast(
      unsafeBitCast(numbers, to: SIMD8<UInt64>.self) & 0x7FFF_FFFF_FFFF_FFFF, to: SIMD8<Double>.self)
  }
}

extension TensorComparisonError: DecantErrorConvertible {
  package var decantError: DecantError { DecantError(self) }
}
