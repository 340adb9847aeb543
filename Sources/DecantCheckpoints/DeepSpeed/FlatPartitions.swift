internal import DecantBytes
internal import DecantTensors

/// One-dimensional tensors, one after the other.
struct FlatPartitions {
  private let tensors: [Tensor]
  /// The index at which each tensor begins, and the number of all elements.
  private let starts: [Int]

  init(_ tensors: [Tensor]) {
    self.tensors = tensors
    var starts = [0]
    for tensor in tensors {
      starts.append(starts[starts.count - 1].checkedAdding(tensor.elementCount) ?? .max)
    }
    self.starts = starts
  }

  /// The number of elements.
  var count: Int { starts[starts.count - 1] }

  /// Returns views of the elements of a range, in order. O(log tensors + views).
  ///
  /// - Throws: ``DecantError`` when the tensors end before the range does.
  func views(of offset: Int, count: Int, _ limits: Limits) throws(DecantError) -> [Tensor] {
    guard let end = offset.checkedAdding(count), end <= self.count else {
      throw DecantError(
        .damaged,
        "the partitions have \(Format.count(self.count, "element")), too few for \(Format.count(count)) at \(offset)"
      )
    }
    var (low, high) = (0, tensors.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if starts[middle] <= offset { low = middle } else { high = middle }
    }
    var views: [Tensor] = []
    var start = offset
    var index = low
    while start < end {
      let stop = min(end, starts[index + 1])
      if start < stop {
        let tensor = tensors[index]
        views.append(
          try Tensor(
            dtype: tensor.dtype, shape: [stop - start], strides: tensor.strides, storage: tensor.storage,
            storageOffset: tensor.storageOffset + (start - starts[index]) * tensor.strides[0],
            limits: limits))
        start = stop
      }
      index += 1
    }
    return views
  }
}
