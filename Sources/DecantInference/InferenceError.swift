package import DecantBytes

/// Why a network cannot be made or run; the description is one clause, without a full stop.
package enum InferenceError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The state dict lacks these parameters of the graph.
  case missingParameters([String])
  /// A parameter's shape is not the graph's.
  case mismatchedParameter(name: String, expected: [Int], found: [Int])
  /// A parameter's numbers cannot be read.
  case unreadableParameter(name: String, cause: DecantError)
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
  /// The number of threads is less than 1 or more than 1024, or they could not be started.
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
    case .unreadableParameter(let name, let cause):
      return "\(name) cannot be read: \(cause.reason)"
    case .unsupportedGraph(let node, let reason):
      return "node \(node) cannot be executed: \(reason)"
    case .valueCount(let shape, let count):
      return "shape \(shape) does not hold \(count) values"
    case .inputShape(let found, let channels):
      return "the input has shape \(found), not N×\(channels)×H×W with every size at least 1"
    case .inputTooSmall(let node, let height, let width):
      return
        "the input is too small: the map that reaches \(node) is \(height)×\(width), smaller than its window"
    case .inputTooLarge(let node):
      return "the input is too large: the output of \(node) is larger than this engine can address"
    case .outOfMemory(let bytes):
      return "the system did not provide the \(bytes) bytes that the run needs"
    case .threads(let count):
      return "cannot run on \(count) threads"
    case .libraryMissing(let reason):
      return reason
    }
  }
}

extension DecantError {
  /// Makes the library's error of one of the engines'.
  package init(_ error: InferenceError, file: String? = nil) {
    switch error {
    case .missingParameters, .mismatchedParameter:
      self.init(.mismatch, error.description, file: file, advice: .verify)
    case .unreadableParameter(let name, let cause):
      self = cause.located(file: file, tensor: name)
    case .unsupportedGraph:
      self.init(.unsupportedNetwork, error.description, file: file)
    case .valueCount, .inputShape, .inputTooSmall, .inputTooLarge:
      self.init(.invalidInput, error.description, file: file)
    case .outOfMemory:
      self.init(
        .outOfMemory, error.description, file: file, remedy: "Use a smaller input or a smaller batch.")
    case .threads(let count):
      self.init(
        1...1024 ~= count ? .outOfMemory : .invalidArgument, error.description, file: file,
        remedy: 1...1024 ~= count ? "Use fewer threads." : "Use 1 to 1024 threads.")
    case .libraryMissing:
      self.init(.libraryMissing, error.description, file: file)
    }
  }
}

extension InferenceError: DecantErrorConvertible {
  package var decantError: DecantError { DecantError(self) }
}
