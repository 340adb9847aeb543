/// A function without parameters of each vector, as heads of networks apply it.
package enum VectorFunction: Sendable, Equatable {
  case relu
  /// `min(max(x, 0), 6)`.
  case relu6
  /// `x`, or `slope × x` below 0.
  case leakyReLU(slope: Double)
  /// `x × Φ(x)`, with the distribution function Φ of the standard normal distribution, computed exactly.
  case gelu
  /// The approximation of ``gelu`` by a hyperbolic tangent (PyTorch's `approximate="tanh"`).
  case tanhGELU
  /// `x × sigmoid(x)`.
  case silu
  case tanh
  case sigmoid
  /// The exponentials of a vector's numbers, divided by their sum.
  case softmax
  /// The logarithm of ``softmax``.
  case logSoftmax

  /// The name in PyTorch's spelling, such as "LeakyReLU (slope 0.1)".
  package var text: String {
    switch self {
    case .relu: "ReLU"
    case .relu6: "ReLU6"
    case .leakyReLU(let slope): "LeakyReLU (slope \(slope))"
    case .gelu: "GELU"
    case .tanhGELU: "GELU (tanh)"
    case .silu: "SiLU"
    case .tanh: "Tanh"
    case .sigmoid: "Sigmoid"
    case .softmax: "Softmax"
    case .logSoftmax: "LogSoftmax"
    }
  }

  /// Creates the function with a name as ``text`` gives it; nil for other texts.
  package init?(text: String) {
    let plain: [VectorFunction] = [
      .relu, .relu6, .gelu, .tanhGELU, .silu, .tanh, .sigmoid, .softmax, .logSoftmax,
    ]
    if let found = plain.first(where: { $0.text == text }) {
      self = found
      return
    }
    let parts = text.split(separator: " ")
    guard parts.count == 3, parts[0] == "LeakyReLU", parts[1] == "(slope", parts[2].hasSuffix(")"),
      let slope = Double(parts[2].dropLast()), slope.isFinite
    else { return nil }
    self = .leakyReLU(slope: slope)
  }
}
