internal import CStandard

/// A channel attention gate: computes a factor between 0 and 1 for each channel from the channel means.
enum ChannelGate<Scalar: ReferenceScalar>: Sendable {
  /// Squeeze-and-excitation: weights of `reduced`×`channels` and back, with a ReLU between.
  case squeezeExcitation(
    channels: Int, reduced: Int, squeeze: WeightBuffer<Scalar>, squeezeBias: WeightBuffer<Scalar>,
    excitation: WeightBuffer<Scalar>, excitationBias: WeightBuffer<Scalar>)
  /// Efficient channel attention: one 1-D convolution along the channels with an odd kernel of `length`.
  case efficient(length: Int, weights: WeightBuffer<Scalar>)

  /// Returns true when the gate fits a feature map with this number of channels.
  func suits(channels count: Int) -> Bool {
    switch self {
    case .squeezeExcitation(let channels, _, _, _, _, _): channels == count
    case .efficient(let length, _): !length.isMultiple(of: 2)
    }
  }
}

extension ChannelGate where Scalar: KernelScalar {
  /// Returns N×C factors for N×C means.
  func factors(_ means: [Scalar], channels: Int, batch: Int) -> [Scalar] {
    unsafe means.withUnsafeBufferPointer { means in
      guard let base = means.baseAddress else { return [] }
      return (0..<batch).flatMap { image in
        unsafe weigh(base + image * channels, channels).map { Scalar(1 / (1 + cstandard_exp(-Double($0)))) }
      }
    }
  }

  private func weigh(_ means: UnsafePointer<Scalar>, _ count: Int) -> [Scalar] {
    switch self {
    case .squeezeExcitation(_, let reduced, let squeeze, let squeezeBias, let excitation, let excitationBias):
      let inner = (0..<reduced).map { row in
        unsafe max(0, dot(squeeze.base + row * count, means, count: count) + squeezeBias.base[row])
      }
      return unsafe inner.withUnsafeBufferPointer { inner in
        (0..<count).map { row in
          guard let base = inner.baseAddress else { return unsafe excitationBias.base[row] }
          return unsafe dot(excitation.base + row * reduced, base, count: reduced) + excitationBias.base[row]
        }
      }
    case .efficient(let length, let weights):
      return (0..<count).map { channel in
        var sum: Scalar = 0
        for place in 0..<length where 0..<count ~= channel + place - length / 2 {
          unsafe sum += weights.base[place] * means[channel + place - length / 2]
        }
        return sum
      }
    }
  }
}
