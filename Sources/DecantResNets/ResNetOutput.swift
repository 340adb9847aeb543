internal import DecantGraphs

/// The meaning of the numbers that a network returns.
package enum ResNetOutput: String, Sendable {
  case logits
  /// The pooled features of a network without a head.
  case features
  /// The result of a softmax or a sigmoid that the file applies to the logits.
  case probabilities
  /// The result of a log-softmax that the file applies to the logits.
  case logProbabilities = "log_probabilities"
  /// The result of other functions that the file applies to the logits.
  case output
}

extension ResNetConfiguration {
  /// The meaning of the numbers that the network returns.
  package var output: ResNetOutput {
    guard classes > 0 else { return .features }
    return switch outputFunctions.last {
    case nil: .logits
    case .softmax, .sigmoid: .probabilities
    case .logSoftmax: .logProbabilities
    default: .output
    }
  }
}
