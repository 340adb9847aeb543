package import DecantTensors

/// The range, the distribution and the oddities of a tensor's values.
package struct TensorSurvey: Sendable {
  package private(set) var nanCount = 0
  package private(set) var infinityCount = 0
  package private(set) var zeroCount = 0
  /// The smallest finite element; nil when there is none, or the dtype is not read as real numbers.
  package private(set) var least: Double?
  /// The largest finite element; nil like ``least``.
  package private(set) var greatest: Double?
  /// The mean of the finite elements; nil like ``least``.
  package private(set) var mean: Double?
  /// The population standard deviation of the finite elements; nil like ``least``.
  package private(set) var deviation: Double?
  /// The number of finite elements in each of ``binCount`` equal intervals from ``least`` to ``greatest``; empty when
  /// they are equal.
  package private(set) var histogram: [Int] = []
  /// The indices along the first axis at which every element is zero; empty for a tensor of less than two axes.
  package private(set) var zeroChannels: [Int] = []

  /// The number of intervals of a histogram.
  package static let binCount = 24

  /// Reads every element twice: for the range, then for the distribution. O(elements), in bounded memory.
  ///
  /// - Throws: ``DecantError`` for a tensor without data and for data that cannot be read.
  package init(_ tensor: Tensor) throws {
    guard tensor.isReal else {
      nanCount = try tensor.countNonFinite()
      return
    }
    var (finite, sum) = (0, 0.0)
    var (low, high) = (Double.infinity, -Double.infinity)
    var channels = ZeroChannels(tensor.shape)
    try tensor.readNumbers { numbers in
      var pieceSum = 0.0
      for number in numbers {
        guard number.isFinite else {
          if number.isNaN { nanCount += 1 } else { infinityCount += 1 }
          continue
        }
        finite += 1
        pieceSum += number
        low = min(low, number)
        high = max(high, number)
        if number == 0 { zeroCount += 1 }
      }
      sum += pieceSum
      channels.read(numbers)
    }
    zeroChannels = channels.zeros
    guard finite > 0 else { return }
    let mean = sum / Double(finite)
    (least, greatest, self.mean) = (low, high, mean)
    try readDistribution(of: tensor, from: low, to: high, mean: mean, count: finite)
  }

  private mutating func readDistribution(
    of tensor: Tensor, from low: Double, to high: Double, mean: Double, count: Int
  ) throws {
    guard low < high else {
      deviation = 0
      return
    }
    var bins = [Int](repeating: 0, count: Self.binCount)
    var squares = 0.0
    // Halved, since the range of float64 itself overflows.
    let scale = Double(Self.binCount) / (high / 2 - low / 2)
    try tensor.readNumbers { numbers in
      var pieceSquares = 0.0
      for number in numbers where number.isFinite {
        pieceSquares += (number - mean) * (number - mean)
        bins[min(Self.binCount - 1, Int((number / 2 - low / 2) * scale))] += 1
      }
      squares += pieceSquares
    }
    histogram = bins
    deviation = (squares / Double(count)).squareRoot()
  }
}

/// The search for slices along the first axis in which every element is zero.
private struct ZeroChannels {
  private let size: Int
  private var isZero: [Bool]
  private var position = 0

  init(_ shape: [Int]) {
    let count = shape.count > 1 ? shape[0] : 0
    size = count > 0 ? shape.dropFirst().reduce(1, *) : 0
    isZero = [Bool](repeating: size > 0, count: size > 0 ? count : 0)
  }

  /// Reads the next elements in row-major order.
  mutating func read(_ numbers: [Double]) {
    guard size > 0 else { return }
    var index = 0
    while index < numbers.count {
      let channel = (position + index) / size
      let end = min(numbers.count, (channel + 1) * size - position)
      // Of a channel with a number that is not zero, nothing more is read.
      if isZero[channel] {
        isZero[channel] = numbers[index..<end].allSatisfy { $0 == 0 }
      }
      index = end
    }
    position += numbers.count
  }

  var zeros: [Int] { isZero.indices.filter { isZero[$0] } }
}
