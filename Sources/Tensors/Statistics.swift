/// What a look at every number of a tensor tells.
public struct TensorStatistics: Sendable {
  /// Elements that are infinite or not a number.
  public let nonFiniteCount: Int
  /// The least and greatest finite number and the mean of the finite ones; nil for types that are not read as
  /// real numbers and for tensors without finite numbers.
  public let least: Double?
  public let greatest: Double?
  public let mean: Double?
}

extension Tensor {
  /// Reads every element. Means are of doubles, summed piece by piece. O(elements).
  public func statistics() throws -> TensorStatistics {
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

  /// Whether the elements are read as real numbers.
  private var isReal: Bool {
    switch dtype {
    case .float4_e2m1fn_x2, .int1, .int2, .int3, .int4, .int5, .int6, .int7, .uint1, .uint2, .uint3, .uint4,
      .uint5,
      .uint6, .uint7:
      false
    default: dtype.kind != .complex && dtype.kind != .bits && dtype.kind != .quantized
    }
  }
}
