package import DecantBytes

/// An error of building or running a network. The description is one clause without a full stop.
package enum InferenceError: Error, Sendable, Equatable, CustomStringConvertible {
  /// These parameters of the graph are missing from the state dict.
  case missingParameters([String])
  /// A parameter's shape differs from the shape in the graph.
  case mismatchedParameter(name: String, expected: [Int], found: [Int])
  /// A parameter's elements cannot be read.
  case unreadableParameter(name: String, cause: DecantError)
  /// The graph needs an operation that this engine does not have, or it contradicts itself.
  case unsupportedGraph(node: String, reason: String)
  /// The element count of an activation's shape differs from its number of values.
  case valueCount(shape: [Int], count: Int)
  /// The input is not N×`channels`×H×W with every size at least 1.
  case inputShape(found: [Int], channels: Int)
  /// A window is larger than the feature map that a node reads.
  case inputTooSmall(node: String, height: Int, width: Int)
  /// The input is so large that sizes overflow.
  case inputTooLarge(node: String)
  /// The system did not provide this many bytes.
  case outOfMemory(bytes: Int)
  /// The number of threads is not in 1...1024, or the threads could not be started.
  case threads(Int)
  /// An engine's library is missing. The text names the package to install.
  case libraryMissing(String)

  /// The error when neither engine's library is installed. One package is enough; oneDNN is faster.
  package static let noEngine = InferenceError.libraryMissing(
    "neither oneDNN nor OpenBLAS is installed; install oneDNN with apt-get install libdnnl2")

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
      return "shape \(shape) does not hold \(Format.count(count, "value"))"
    case .inputShape(let found, let channels):
      return "the input has shape \(Format.shape(found)), not N×\(channels)×H×W with every size at least 1"
    case .inputTooSmall(let node, let height, let width):
      return
        "the input is too small: the feature map at \(node) is \(height)×\(width), smaller than its window"
    case .inputTooLarge(let node):
      return "the input is too large: the output of \(node) is larger than this engine can address"
    case .outOfMemory(let bytes):
      return "the run needs \(bytes) bytes, which the system did not provide"
    case .threads(let count):
      return "cannot run on \(Format.count(count, "thread"))"
    case .libraryMissing(let reason):
      return reason
    }
  }
}

extension DecantError {
  /// Converts an engine's error to the library's error.
  package init(_ error: InferenceError, file: String? = nil) {
    switch error {
    case .missingParameters, .mismatchedParameter:
      self.init(.mismatch, error.description, file: file, advice: .verify)
    case .unreadableParameter(let name, let cause):
      self = cause.located(file: file, tensor: name)
    case .unsupportedGraph:
      self.init(.unsupportedNetwork, error.description, file: file)
    case .inputShape(let found, let channels)
    where found.count == 4 && found[3] == channels && found[1] != channels:
      self.init(
        .invalidInput, error.description + "; its channels are last", file: file, advice: .inputLayout)
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
