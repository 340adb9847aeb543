package import Inference

/// Why nothing can be measured; the description is one clause, without a full stop.
package enum MeasurementError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The error rate was measured on networks of another kind than this.
  case otherKind(String)
  /// These tensors are not there, running statistics or the weights that lead to them.
  case missing([String])
  /// A tensor's numbers cannot be had, or are none that training leaves behind.
  case unusable(tensor: String, reason: String)
  /// Every mean is 0 and every variance 1: the network has seen no image.
  case untrained
  /// The first block has more weights than any that was published.
  case tooLarge(weights: Int)
  /// The engine refuses.
  case engine(InferenceError)

  package var description: String {
    switch self {
    case .otherKind(let reason): reason
    case .missing(let names):
      "there is no \(names.prefix(4).joined(separator: ", "))"
        + (names.count > 4 ? " and \(names.count - 4) more are missing" : "")
    case .unusable(let tensor, let reason): "\(tensor) \(reason)"
    case .untrained: "every running mean is 0 and every running variance 1, so the network has seen no image"
    case .tooLarge(let weights):
      "its first convolutions have \(weights) weights, more than any ResNet that was published"
    case .engine(let error): error.description
    }
  }
}
