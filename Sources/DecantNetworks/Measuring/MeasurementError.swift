package import DecantBytes
package import DecantInference

/// An error of a stride measurement. The description is one clause without a full stop.
package enum MeasurementError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The error rate was measured on another kind of network than this one.
  case otherKind(String)
  /// These tensors are missing: running statistics, or the weights before them.
  case missing([String])
  /// A tensor's values cannot come from training.
  case unusable(tensor: String, reason: String)
  /// A tensor's elements cannot be read.
  case unreadable(tensor: String, cause: DecantError)
  /// Every running mean is 0 and every running variance 1: the network has seen no image.
  case untrained
  /// The first block has more weights than that of any published ResNet.
  case tooLarge(weights: Int)
  /// The inference engine failed.
  case engine(InferenceError)

  package var description: String {
    switch self {
    case .otherKind(let reason): reason
    case .missing(let names):
      "these tensors are missing: \(names.prefix(4).joined(separator: ", "))"
        + (names.count > 4 ? " and \(names.count - 4) more" : "")
    case .unusable(let tensor, let reason): "\(tensor) \(reason)"
    case .unreadable(let tensor, let cause): "\(tensor) cannot be read: \(cause.reason)"
    case .untrained: "every running mean is 0 and every running variance is 1, so the network is not trained"
    case .tooLarge(let weights):
      "its first convolutions have \(weights) weights, more than any published ResNet"
    case .engine(let error): error.description
    }
  }
}

extension DecantError {
  /// Converts a measurement error to the library's error.
  package init(_ error: MeasurementError, file: String? = nil) {
    switch error {
    case .engine(let error): self.init(error, file: file)
    case .unreadable(let tensor, let cause): self = cause.located(file: file, tensor: tensor)
    case .otherKind, .missing, .unusable, .untrained, .tooLarge:
      self.init(.notMeasurable, "cannot be measured: \(error.description.escapedForDisplay)", file: file)
    }
  }
}

extension MeasurementError: DecantErrorConvertible {
  package var decantError: DecantError { DecantError(self) }
}
