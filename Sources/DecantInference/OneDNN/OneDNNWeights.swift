internal import DecantIO
internal import Synchronization

/// Returns true when no element is infinite or NaN. O(count).
func areFinite(_ numbers: UnsafeBufferPointer<Float>) -> Bool {
  var largest: Int32 = 0
  for index in numbers.indices {
    largest = max(largest, Int32(bitPattern: unsafe numbers[index].bitPattern & 0x7FFF_FFFF))
  }
  return largest < 0x7F80_0000
}

extension Step where Scalar == Float {
  /// True when the scales and shifts of the step's batch norm are finite. They are computed from the weights, and can be
  /// infinite when these are not.
  var hasFiniteAffine: Bool {
    areAllFinite([epilogue.affine?.scale, epilogue.affine?.shift].compactMap(\.self))
  }

  /// True when the step's weights are finite.
  var hasFiniteWeights: Bool {
    var buffers: [WeightBuffer<Float>] = []
    switch kernel {
    case .convolution(_, let weights): buffers = [weights]
    case .linear(_, _, let weights, let bias): buffers = [weights, bias]
    case .channelGate(
      .squeezeExcitation(_, _, let squeeze, let squeezeBias, let excitation, let excitationBias)):
      buffers = [squeeze, squeezeBias, excitation, excitationBias]
    case .channelGate(.efficient(_, let weights)): buffers = [weights]
    default: break
    }
    return areAllFinite(buffers)
  }

  private func areAllFinite(_ buffers: [WeightBuffer<Float>]) -> Bool {
    buffers.allSatisfy { unsafe areFinite(UnsafeBufferPointer(start: $0.base, count: $0.count)) }
  }
}

/// Weights packed into the layouts that operations require, once for all input sizes.
final class OneDNNWeights: Sendable {
  private struct Packed: Sendable {
    let layout: OneDNNLayout
    let buffer: AlignedBuffer<Float>
  }

  /// A step's index and the index of the weights among those of the step.
  struct Key: Hashable, Sendable {
    let step: Int
    let part: Int
  }

  private let packed = Mutex<[Key: [Packed]]>([:])

  /// Returns row-major weights of the given sizes, packed into a layout, with each output channel multiplied by its
  /// factor.
  func pack(
    _ key: Key, _ source: WeightBuffer<Float>, _ sizes: [Int], factors: [Double]?, as layout: OneDNNLayout
  ) throws(InferenceError) -> AlignedBuffer<Float> {
    if let found = packed.withLock({ $0[key] })?.first(where: { $0.layout == layout }) { return found.buffer }
    let target = try AlignedBuffer<Float>(count: (layout.byteCount + 3) / 4)
    let scaled = try factors.map { factors throws(InferenceError) in try Self.scaled(source, factors) }
    let from = unsafe scaled.map { unsafe UnsafePointer($0.base) } ?? source.base
    guard let plain = OneDNNLayout.rowMajor(sizes), unsafe try plain.copy(from, to: target.base, as: layout)
    else {
      throw .unsupportedGraph(node: "-", reason: "oneDNN cannot arrange weights of sizes \(sizes)")
    }
    withExtendedLifetime((scaled, source)) {}
    packed.withLock { $0[key, default: []].append(Packed(layout: layout, buffer: target)) }
    return target
  }

  /// Returns each row multiplied by its factor, rounded once.
  private static func scaled(
    _ source: WeightBuffer<Float>, _ factors: [Double]
  ) throws(InferenceError) -> AlignedBuffer<Float> {
    let scaled = try AlignedBuffer<Float>(count: source.count)
    let count = source.count / max(factors.count, 1)
    for row in 0..<factors.count {
      let (from, to) = unsafe (source.base + row * count, scaled.base + row * count)
      let factor = factors[row]
      for place in 0..<count { unsafe to[place] = Float(Double(from[place]) * factor) }
    }
    return scaled
  }
}
