internal import DecantBytes

/// A rule by which PyTorch computes a weight from its parts, in eval mode.
enum Parametrization: Sendable {
  /// orig × mask. The mask is cast to the weight's dtype first.
  case prune
  /// v × (g / ‖v‖), with a norm of its own for each slice along `axis`; nil for one norm of all elements.
  case weightNorm(axis: Int?)
  /// orig / (u · W v), where W is the weight as a matrix whose rows are the slices along an axis.
  ///
  /// `axes` are those that the lengths of u and v allow. There is usually one. PyTorch uses axis 0, and axis 1 for
  /// transposed convolutions. When both have one size, the numbers decide; see ``ParametrizedContent``.
  case spectralNorm(axes: [Int])
}

extension Tensor {
  /// Creates a weight that is computed from its parts when it is read. It has the dtype and shape of its main part.
  ///
  /// - Parameters:
  ///   - weight: the main part: a floating-point tensor.
  ///   - others: the mask, or g, or u and v. Their shapes fit the weight's.
  /// - Throws: ``DecantError`` when the weight is too large. O(1).
  init(_ rule: Parametrization, of weight: Tensor, _ others: [Tensor]) throws(DecantError) {
    let hasData = ([weight] + others).allSatisfy { $0.storage.content != nil }
    let content = hasData ? ParametrizedContent(rule, weight, others) : nil
    try self.init(
      dtype: weight.dtype, shape: weight.shape,
      storage: Storage(
        key: "parametrised", location: weight.storage.location, byteCount: weight.byteCount, content: content),
      requiresGrad: weight.requiresGrad)
  }
}

/// The elements of a parametrised weight in row-major order. They are computed on the first read and freed after the
/// last byte was read.
///
/// Each step is rounded to the weight's dtype where PyTorch rounds it. Sums are computed in float64 with compensation
/// and rounded once, so they are at least as exact as PyTorch's. Products, quotients and square roots of numbers of at
/// most 24 bits have the same bits when they are computed in float64 and rounded. Source: Figueroa, "When is double
/// rounding innocuous?", 1995.
private final class ParametrizedContent: ComputedContent {
  private let rule: Parametrization
  private let weight: Tensor
  private let others: [Tensor]
  private let computed = ComputedBytes()

  init(_ rule: Parametrization, _ weight: Tensor, _ others: [Tensor]) {
    (self.rule, self.weight, self.others) = (rule, weight, others)
  }

  var byteCount: Int { weight.byteCount }
  var sources: [Tensor] { [weight] + others }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    try unsafe computed.read(into: buffer, at: offset, of: byteCount, compute)
  }

  func mappedBytes() -> UnsafeRawBufferPointer? { nil }

  private func compute() throws -> BytesInMemory {
    switch rule {
    case .prune: try pruned()
    case .weightNorm(let axis): try normalized(by: axis)
    case .spectralNorm(let axes): try divided(along: axes)
    }
  }

  private func pruned() throws -> BytesInMemory {
    // PyTorch rounds to float32 on the way to a smaller type.
    let dtype = weight.dtype
    let mask: [Float]
    let wideMask: [Double]
    if dtype == .float64 {
      (mask, wideMask) = ([], try others[0].elements(as: Double.self))
    } else {
      (mask, wideMask) = (try others[0].elements(as: Float.self), [])
    }
    return try elements { index, number in
      number * (dtype == .float64 ? wideMask[index] : dtype.rounded(Double(mask[index])))
    }
  }

  // MARK: Weight norm

  private func normalized(by axis: Int?) throws -> BytesInMemory {
    let dtype = weight.dtype
    var squares = [CompensatedSum](repeating: CompensatedSum(), count: axis.map { weight.shape[$0] } ?? 1)
    var slices = SliceIndex(weight.shape, axis: axis)
    try weight.readNumbers { numbers in
      for number in numbers { squares[slices.next()].add(number * number) }
    }
    let magnitudes = try others[0].elements(as: Double.self)
    // The kernel for the first and the last axis computes 16-bit types in float32 and rounds the product only. For
    // other axes every operation rounds. Source: aten/src/ATen/native/{WeightNorm.cpp,cpu/WeightNormKernel.cpp}.
    let isFused = axis.map { $0 == 0 || $0 == weight.shape.count - 1 } ?? false
    let wide: DType = dtype == .float64 ? .float64 : .float32
    let step = isFused ? wide : dtype
    let factors = squares.indices.map { slice in
      let norm = step.rounded(wide.rounded(wide.rounded(squares[slice].value).squareRoot()))
      return step.rounded(magnitudes[slice] / norm)
    }
    slices = SliceIndex(weight.shape, axis: axis)
    return try elements { _, number in number * factors[slices.next()] }
  }

  // MARK: Spectral norm

  private func divided(along axes: [Int]) throws -> BytesInMemory {
    let u = try others[0].elements(as: Double.self)
    let v = try others[1].elements(as: Double.self)
    var axis = axes[0]
    if axes.count > 1, weight.shape.count > 2 {
      // Both vectors come from the power method on the right matrix: one of them is exactly in the other's direction
      // when the weight was not changed since, and nearly so after a step of training.
      let fits = try axes.map { try fit(u, v, axis: $0) }
      if fits[0] < Self.decisiveFit,
        let best = axes.indices.dropFirst().first(where: {
          fits[$0] >= Self.decisiveFit
        })
      {
        axis = axes[best]
      }
    }
    let products = try matrix(times: v, axis: axis)
    var sum = CompensatedSum()
    for (row, product) in zip(u, products) { sum.add(row * weight.dtype.rounded(product)) }
    let sigma = weight.dtype.rounded(sum.value)
    return try elements { _, number in number / sigma }
  }

  /// The cosine from which vectors are those of a matrix beyond doubt.
  private static let decisiveFit = 0.99

  /// Returns the larger of the cosines between u and W v, and between v and Wᵀ u.
  private func fit(_ u: [Double], _ v: [Double], axis: Int) throws -> Double {
    let rows = try matrix(times: v, axis: axis)
    let columns = try matrix(times: u, axis: axis, isTransposed: true)
    func cosine(_ a: [Double], _ b: [Double]) -> Double {
      var (product, first, second) = (0.0, 0.0, 0.0)
      for (x, y) in zip(a, b) {
        product += x * y
        first += x * x
        second += y * y
      }
      let norms = first.squareRoot() * second.squareRoot()
      return norms > 0 ? product / norms : 0
    }
    return max(cosine(u, rows), cosine(v, columns))
  }

  /// Returns the product of the weight as a matrix and a vector; its rows are the slices along an axis.
  private func matrix(times vector: [Double], axis: Int, isTransposed: Bool = false) throws -> [Double] {
    let count = isTransposed ? weight.elementCount / weight.shape[axis] : weight.shape[axis]
    var sums = [CompensatedSum](repeating: CompensatedSum(), count: count)
    var slices = SliceIndex(weight.shape, axis: axis)
    try weight.readNumbers { numbers in
      for number in numbers {
        let row = slices.next()
        let column = slices.column
        if isTransposed {
          sums[column].add(number * vector[row])
        } else {
          sums[row].add(number * vector[column])
        }
      }
    }
    return sums.map(\.value)
  }

  // MARK: Elements

  /// Returns the weight's elements after an operation on each, rounded to its dtype.
  private func elements(_ operation: (_ index: Int, _ number: Double) -> Double) throws -> BytesInMemory {
    let dtype = weight.dtype
    return try unsafe BytesInMemory(byteCount: byteCount) { target in
      var index = 0
      try weight.readNumbers { numbers in
        for number in numbers {
          let result = operation(index, number)
          switch dtype {
          case .float64: unsafe target.storeBytes(of: result, toByteOffset: 8 * index, as: Double.self)
          case .float32: unsafe target.storeBytes(of: Float(result), toByteOffset: 4 * index, as: Float.self)
          case .float16:
            let pattern = Float16(result).bitPattern
            unsafe target.storeBytes(of: pattern, toByteOffset: 2 * index, as: UInt16.self)
          default:
            let pattern = bfloat16Pattern(result)
            unsafe target.storeBytes(of: pattern, toByteOffset: 2 * index, as: UInt16.self)
          }
          index += 1
        }
      }
    }
  }
}

/// The slice that each element of a tensor is in, in row-major order.
private struct SliceIndex {
  private let size: Int
  /// The number of elements between neighbours along the axis.
  private let inner: Int
  private var (within, slice, outer) = (-1, 0, 0)

  /// - Parameter axis: the axis of the slices; nil for one slice of all elements.
  init(_ shape: [Int], axis: Int?) {
    size = axis.map { shape[$0] } ?? 1
    // The product overflows only for tensors without elements.
    inner = axis.map { checkedProduct(shape[($0 + 1)...]) ?? 1 } ?? .max
  }

  /// Goes to the next element, or to the first, and returns the index of its slice.
  mutating func next() -> Int {
    within += 1
    if within == inner {
      within = 0
      slice += 1
      if slice == size {
        slice = 0
        outer += 1
      }
    }
    return slice
  }

  /// The index of the element within its slice.
  var column: Int { outer * inner + within }
}

/// A sum of float64 numbers with compensation for rounding.
///
/// Source: Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher Summen", 1974.
private struct CompensatedSum {
  private var (sum, lost) = (0.0, 0.0)

  mutating func add(_ number: Double) {
    let next = sum + number
    lost += abs(sum) >= abs(number) ? (sum - next) + number : (number - next) + sum
    sum = next
  }

  /// The sum, rounded once.
  var value: Double { sum.isFinite ? sum + lost : sum }
}

extension DType {
  /// Returns the number of this floating-point type that is nearest to a double.
  fileprivate func rounded(_ number: Double) -> Double {
    switch self {
    case .float32: Double(Float(number))
    case .float16: Double(Float16(number))
    case .bfloat16: Double(Float(bitPattern: UInt32(bfloat16Pattern(number)) << 16))
    default: number
    }
  }
}
