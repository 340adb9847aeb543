internal import CStandard
internal import DecantGraphs

extension VectorFunction {
  /// Applies the function to vectors, stored image by image. Every number is computed in Double.
  func apply<Scalar: KernelScalar>(
    batch: Int, channels: Int, _ source: UnsafePointer<Scalar>, _ target: UnsafeMutablePointer<Scalar>
  ) {
    switch self {
    case .softmax, .logSoftmax:
      for image in 0..<batch {
        let range = image * channels..<(image + 1) * channels
        var largest = -Double.infinity
        for place in range { unsafe largest = max(largest, Double(source[place])) }
        var sum = 0.0
        for place in range { unsafe sum += cstandard_exp(Double(source[place]) - largest) }
        for place in range {
          let value = unsafe Double(source[place]) - largest
          unsafe target[place] = Scalar(
            self == .softmax ? cstandard_exp(value) / sum : value - cstandard_log(sum))
        }
      }
    default:
      for place in 0..<batch * channels { unsafe target[place] = Scalar(value(Double(source[place]))) }
    }
  }

  /// Returns the value of a function that is computed number by number.
  private func value(_ x: Double) -> Double {
    switch self {
    case .relu: x < 0 ? 0 : x
    case .relu6: x < 0 ? 0 : x > 6 ? 6 : x
    case .leakyReLU(let slope): x < 0 ? slope * x : x
    case .gelu: x * 0.5 * (1 + cstandard_erf(x * 0.5.squareRoot()))
    case .tanhGELU:
      x * 0.5 * (1 + cstandard_tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
    case .silu: x / (1 + cstandard_exp(-x))
    case .tanh: cstandard_tanh(x)
    case .sigmoid: 1 / (1 + cstandard_exp(-x))
    // Functions of the whole vector.
    case .softmax, .logSoftmax: x
    }
  }
}
