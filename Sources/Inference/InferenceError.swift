package import ByteParsing

/// Why a network cannot be made or run; the description is one clause, without a full stop.
package enum InferenceError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The state dict lacks these parameters of the graph.
  case missingParameters([String])
  /// A parameter's shape is not the graph's.
  case mismatchedParameter(name: String, expected: [Int], found: [Int])
  /// A parameter's numbers cannot be had.
  case unreadableParameter(name: String, reason: String)
  /// The graph asks for what this engine does not do, or contradicts itself.
  case unsupportedGraph(node: String, reason: String)
  /// An activation's shape and its count of values contradict each other.
  case valueCount(shape: [Int], count: Int)
  /// The input is not N×`channels`×H×W with every size at least 1.
  case inputShape(found: [Int], channels: Int)
  /// A window does not fit on the map that reaches a node.
  case inputTooSmall(node: String, height: Int, width: Int)
  /// The input is so large that sizes leave the integers.
  case inputTooLarge(node: String)
  /// The machine did not give this many bytes.
  case outOfMemory(bytes: Int)
  /// The threads asked for are fewer than 1, more than 1024, or could not be started.
  case threads(Int)
  /// An engine's library is missing; the text names the package.
  case libraryMissing(String)

  /// Neither engine's library is installed; one package is enough, and oneDNN is the faster.
  package static let noEngine = InferenceError.libraryMissing(
    "neither oneDNN nor OpenBLAS is on this machine; install the package libdnnl2 (apt-get install libdnnl2)")

  package var description: String {
    switch self {
    case .missingParameters(let names):
      return "the state dict lacks \(names.prefix(8).joined(separator: ", "))"
        + (names.count > 8 ? " and \(names.count - 8) more" : "")
    case .mismatchedParameter(let name, let expected, let found):
      return "\(name) has shape \(found), not \(expected)"
    case .unreadableParameter(let name, let reason):
      return "\(name) cannot be read: \(reason)"
    case .unsupportedGraph(let node, let reason):
      return "node \(node) cannot be executed: \(reason)"
    case .valueCount(let shape, let count):
      return "shape \(shape) does not hold \(count) values"
    case .inputShape(let found, let channels):
      return "the input has shape \(found), not N×\(channels)×H×W with every size at least 1"
    case .inputTooSmall(let node, let height, let width):
      return "the map that reaches \(node) is \(height)×\(width), smaller than its window"
    case .inputTooLarge(let node):
      return "the input makes \(node) larger than this engine can address"
    case .outOfMemory(let bytes):
      return "the machine did not give the \(bytes) bytes the run needs; try a smaller input or batch"
    case .threads(let count):
      return "cannot run on \(count) threads"
    case .libraryMissing(let reason):
      return reason
    }
  }
}

extension InferenceError {
  /// The public error.
  package var decantError: DecantError {
    let code: DecantError.Code =
      switch self {
      case .missingParameters, .mismatchedParameter: .mismatch
      case .unreadableParameter: .readFailed
      case .unsupportedGraph: .unsupportedNetwork
      case .valueCount, .inputShape, .inputTooSmall, .inputTooLarge: .invalidInput
      case .outOfMemory: .outOfMemory
      case .threads: .invalidArgument
      case .libraryMissing: .libraryMissing
      }
    return DecantError(code, "cannot be run: \(self)")
  }
}
