internal import DecantBytes
internal import DecantCheckpoints
internal import DecantIO
package import DecantTensors

/// The result of comparing two tensors.
package enum PairVerdict: Sendable {
  /// The dtype, shape and bits are equal.
  case identical
  /// The dtype and bits are equal, the shape differs. `axes` is the permutation when the axes are in another order.
  case reshaped(axes: [Int]?)
  /// Something differs. The difference is nil when there are no values to measure, and the remark says why.
  case changed(TensorDifference?, remark: String, hint: Hint? = nil)

  /// The form in which tensors that are compared by their parts can be measured.
  package enum Hint: Sendable {
    /// One is sparse and the other is not, or in another layout. As dense tensors, their values can be compared.
    case compareDense
    /// Both are sparse in the same layout. As dense tensors, the difference can be measured.
    case measureDense
    /// Both are quantised. Dequantised, the difference can be measured.
    case measureDequantized
  }
}

/// Compares the tensors of pairs, and finds tensors with equal data among those without a partner.
package struct PairComparison: Sendable {
  package let a: DiffFile
  package let b: DiffFile
  package let tolerance: Tolerance
  package let toDense: Bool
  package let threads: Int

  /// Creates a comparison with a tolerance. `toDense` converts sparse tensors to dense ones.
  package init(a: DiffFile, b: DiffFile, tolerance: Tolerance, toDense: Bool, threads: Int) {
    (self.a, self.b, self.tolerance, self.toDense, self.threads) = (a, b, tolerance, toDense, threads)
  }

  /// Returns the verdict on every pair, in order. O(bytes), twice for pairs that differ.
  ///
  /// - Parameter progress: called with the number of bytes of each pair that was compared, from several threads.
  /// - Throws: ``DecantError`` when a tensor cannot be read or compared. When a flag is missing, it throws before any
  ///   comparison.
  package func verdicts(
    _ pairs: [TensorMatching.Pair], progress: @escaping @Sendable (Int) -> Void = { _ in }
  ) throws -> [PairVerdict] {
    try requireComparable(pairs)
    return try parallelMap(pairs.count, threads: threads) { index in
      defer { progress(a.items[pairs[index].a].tensor.byteCount) }
      return try verdict(pairs[index])
    }
  }

  private func verdict(_ pair: TensorMatching.Pair) throws -> PairVerdict {
    let (left, right) = (a.items[pair.a], b.items[pair.b])
    return try locating(left, right) {
      var tensor = left.tensor
      if hasParts(tensor) { return try compareParts(tensor, right.tensor) }
      if let axes = pair.axes { tensor = try tensor.permuted(axes) }
      return try compare(tensor, right.tensor)
    }
  }

  private func compare(_ left: Tensor, _ right: Tensor) throws -> PairVerdict {
    if try left.hasSameBits(as: right) {
      return left.shape == right.shape ? .identical : .reshaped(axes: nil)
    }
    if left.shape != right.shape {
      if let axes = try transposition(left, right) { return .reshaped(axes: axes) }
      return .changed(nil, remark: left.elementCount == right.elementCount ? "shape and data" : "shape")
    }
    guard let difference = try left.difference(from: right, tolerance: tolerance) else {
      return .changed(nil, remark: left.dtype == right.dtype ? "bits" : "type")
    }
    return .changed(difference, remark: remark(difference, left.dtype, right.dtype))
  }

  /// The most bytes of a tensor that is compared along permuted axes: the limit for gathering elements in memory.
  private static let transposedBytes = 64 << 20

  /// Returns the permutation of the left tensor's axes that gives the shape and the bits of the right one; nil for
  /// none. It finds transposed matrices and TensorFlow's kernel layouts.
  private func transposition(_ left: Tensor, _ right: Tensor) throws -> [Int]? {
    guard left.dtype == right.dtype, left.dtype.elementsPerByte == 1, 2...4 ~= left.shape.count,
      left.shape.sorted() == right.shape.sorted(), left.byteCount <= Self.transposedBytes
    else { return nil }
    for axes in Self.orders(left.shape.count) where axes.map({ left.shape[$0] }) == right.shape {
      if try left.permuted(axes).hasSameBits(as: right) { return axes }
    }
    return nil
  }

  /// Returns every permutation of `count` axes.
  private static func orders(_ count: Int) -> [[Int]] {
    count == 0
      ? [[]]
      : orders(count - 1).flatMap { order in
        (0..<count).map { place in Array(order[..<place]) + [count - 1] + Array(order[place...]) }
      }
  }

  private func remark(_ difference: TensorDifference, _ left: DType, _ right: DType) -> String {
    if difference.differingCount == 0 {
      return left != right ? "the same numbers" : left == .bool ? "other bytes for true" : "other NaN bits"
    }
    if difference.isRoundedCopy { return "rounded once" }
    return difference.nanCount > 0
      ? "\(Format.count(difference.nanCount)) NaN on one side" : ""
  }

  // MARK: Sparse and quantised tensors, by their parts

  /// Returns true when a tensor is compared by its parts (such as indices and values, or integers and scales).
  private func hasParts(_ tensor: Tensor) -> Bool {
    tensor.quantization != nil || (tensor.layout != .strided && !toDense)
  }

  /// Throws when a pair can only be compared in a form that the caller did not ask for.
  private func requireComparable(_ pairs: [TensorMatching.Pair]) throws(DecantError) {
    var (quantised, sparse): ([String], [String]) = ([], [])
    for pair in pairs {
      let (left, right) = (a.items[pair.a], b.items[pair.b])
      if (left.tensor.quantization == nil) != (right.tensor.quantization == nil) {
        quantised.append(left.name)
      } else if !toDense, (left.tensor.layout == .strided) != (right.tensor.layout == .strided) {
        sparse.append(left.name)
      }
    }
    let isQuantised = !quantised.isEmpty
    let names = isQuantised ? quantised : sparse
    guard !names.isEmpty else { return }
    throw DecantError(
      .invalidArgument,
      "\(names.count == 1 ? "this tensor is" : "these \(Format.count(names.count, "tensor", ("is", "are")))") \(isQuantised ? "quantised" : "sparse") in one of the files only: "
        + DiffFile.list(names), file: "\(a.checkpoint.path) and \(b.checkpoint.path)",
      advice: isQuantised ? .dequantize : .makeDense)
  }

  private func compareParts(_ left: Tensor, _ right: Tensor) throws -> PairVerdict {
    if left.shape != right.shape { return .changed(nil, remark: "shape") }
    if left.dtype != right.dtype { return .changed(nil, remark: "type") }
    if left.layout != right.layout { return .changed(nil, remark: "layout", hint: .compareDense) }
    var differing: [String] = []
    switch (left.quantization, right.quantization) {
    case (.perTensor(let scale, let zero)?, .perTensor(let otherScale, let otherZero)?):
      if scale.bitPattern != otherScale.bitPattern { differing.append("scale") }
      if zero != otherZero { differing.append("zero_point") }
    case (.perChannel(_, _, let axis, let isFloat)?, .perChannel(_, _, let otherAxis, let isOtherFloat)?):
      if (axis, isFloat) != (otherAxis, isOtherFloat) { differing.append("scheme") }
    case (nil, nil): break
    default: differing.append("scheme")
    }
    if left.quantization != nil, try !left.hasSameBits(as: right) { differing.append("integers") }
    if !differing.contains("scheme") {
      for (part, other) in zip(left.parts, right.parts) {
        if try part.tensor.shape != other.tensor.shape || !part.tensor.hasSameBits(as: other.tensor) {
          differing.append(part.name)
        }
      }
    }
    if differing.isEmpty { return .identical }
    return .changed(
      nil, remark: differing.joined(separator: ", "),
      hint: left.quantization != nil ? .measureDequantized : .measureDense)
  }

  // MARK: Data of equal bits

  /// Returns pairs of unpaired tensors with equal data. Tensors of one shape are paired in order when each side has
  /// the same number of them. Tensors of two shapes are paired when no other tensor has the same data. O(bytes) of the
  /// tensors whose dtype, layout and element count occur on both sides.
  package func pairsOfEqualData(_ onlyA: [Int], _ onlyB: [Int]) throws -> [TensorMatching.Pair] {
    let common = Set(onlyA.map { Kind(a.items[$0].tensor) }).intersection(
      onlyB.map { Kind(b.items[$0].tensor) })
    let left = onlyA.filter { common.contains(Kind(a.items[$0].tensor)) }
    let right = onlyB.filter { common.contains(Kind(b.items[$0].tensor)) }
    let digests = try parallelMap(left.count + right.count, threads: threads) { index in
      try index < left.count
        ? digest(a, a.items[left[index]]) : digest(b, b.items[right[index - left.count]])
    }
    var groups: [Data: (a: [Int], b: [Int])] = [:]
    var order: [Data] = []
    for (index, digest) in digests.enumerated() {
      let place = index < left.count ? left[index] : right[index - left.count]
      let item = index < left.count ? a.items[place] : b.items[place]
      let data = Data(kind: Kind(item.tensor), digest: digest)
      if groups[data] == nil { order.append(data) }
      if index < left.count {
        groups[data, default: ([], [])].a.append(place)
      } else {
        groups[data, default: ([], [])].b.append(place)
      }
    }
    var pairs: [TensorMatching.Pair] = []
    for data in order {
      guard let group = groups[data], !group.a.isEmpty, !group.b.isEmpty else { continue }
      let shapes = Set(group.a.map { a.items[$0].tensor.shape })
      var rest = group
      for shape in shapes {
        let ofA = group.a.filter { a.items[$0].tensor.shape == shape }
        let ofB = group.b.filter { b.items[$0].tensor.shape == shape }
        guard ofA.count == ofB.count else { continue }
        pairs += zip(ofA, ofB).map { TensorMatching.Pair(a: $0, b: $1, reason: .data) }
        rest.a.removeAll { ofA.contains($0) }
        rest.b.removeAll { ofB.contains($0) }
      }
      if rest.a.count == 1, rest.b.count == 1, data.kind.elementCount > 1 {
        pairs.append(TensorMatching.Pair(a: rest.a[0], b: rest.b[0], reason: .data))
      }
    }
    return pairs.sorted { $0.a < $1.a }
  }

  /// The properties that tensors of equal data share, known without reading data.
  private struct Kind: Hashable {
    package let dtype: DType
    package let elementCount: Int
    package let layout: TensorLayout

    package init(_ tensor: Tensor) {
      dtype = tensor.dtype
      elementCount = tensor.elementCount
      layout = tensor.layout
    }
  }

  private struct Data: Hashable {
    package let kind: Kind
    package let digest: String
  }

  private func digest(_ side: DiffFile, _ item: DiffFile.Item) throws -> String {
    do {
      let tensor = item.tensor
      guard hasParts(tensor) else { return try tensor.sha256() }
      var digests = tensor.quantization == nil ? [] : [try tensor.sha256()]
      if case .perTensor(let scale, let zero) = tensor.quantization {
        digests.append("\(scale.bitPattern) \(zero)")
      }
      for part in tensor.parts { digests.append(try part.tensor.sha256()) }
      return digests.joined(separator: " ")
    } catch { throw side.located(error, item) }
  }

  /// Runs a comparison of two tensors, and adds the tensor that could not be read to its errors.
  private func locating<T>(_ left: DiffFile.Item, _ right: DiffFile.Item, _ body: () throws -> T) throws -> T
  {
    do { return try body() } catch let error as TensorComparisonError {
      throw error.isSecondTensor ? b.located(error.cause, right) : a.located(error.cause, left)
    } catch { throw a.located(error, left) }
  }
}
