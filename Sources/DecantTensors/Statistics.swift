public import DecantBytes

/// The range and the mean of a tensor's elements.
public struct TensorStatistics: Sendable {
  /// The number of elements that are infinite or NaN.
  public let nonFiniteCount: Int
  /// The smallest finite element; nil when there is none, or when the dtype is not read as real numbers.
  public let least: Double?
  /// The largest finite element; nil like ``least``.
  public let greatest: Double?
  /// The mean of the finite elements; nil like ``least``.
  public let mean: Double?
}

extension Tensor {
  /// Reads every element and returns their range and mean, computed in float64. O(elements), in bounded
  /// memory.
  ///
  /// - Throws: ``DecantError`` for a tensor without data and for data that cannot be read.
  public func statistics() throws(DecantError) -> TensorStatistics {
    try DecantError.mapping { try readStatistics() }
  }

  private func readStatistics() throws -> TensorStatistics {
    guard isReal else {
      return TensorStatistics(nonFiniteCount: try countNonFinite(), least: nil, greatest: nil, mean: nil)
    }
    var nonFinite = 0
    var finite = 0
    var least = Double.infinity
    var greatest = -Double.infinity
    var sum = 0.0
    var numbers: [Double] = []
    try unsafe readRowMajor(capacity: 1 << 16) { bytes in
      numbers.removeAll(keepingCapacity: true)
      try unsafe appendNumbers(of: UnsafeRawBufferPointer(bytes), dtype, to: &numbers)
      var pieceSum = 0.0
      for number in numbers {
        guard number.isFinite else {
          nonFinite += 1
          continue
        }
        finite += 1
        least = min(least, number)
        greatest = max(greatest, number)
        pieceSum += number
      }
      sum += pieceSum
    }
    guard finite > 0 else {
      return TensorStatistics(nonFiniteCount: nonFinite, least: nil, greatest: nil, mean: nil)
    }
    return TensorStatistics(
      nonFiniteCount: nonFinite, least: least, greatest: greatest, mean: sum / Double(finite))
  }

  /// True when the elements are read as real numbers.
  package var isReal: Bool {
    switch dtype {
    case .float4_e2m1fn_x2, .int1, .int2, .int3, .int4, .int5, .int6, .int7, .uint1, .uint2, .uint3, .uint4,
      .uint5,
      .uint6, .uint7:
      false
    default: dtype.kind != .complex && dtype.kind != .bits && dtype.kind != .quantized
    }
  }
}
