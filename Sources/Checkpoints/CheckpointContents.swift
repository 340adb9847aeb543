public import ByteParsing
public import Tensors

/// A tensor of a checkpoint and where it stands.
public struct CheckpointTensor: Sendable {
  /// What PyTorch's modules use a tensor for, where the file tells.
  public enum Role: String, Sendable {
    case parameter, buffer
  }
  /// The steps from the root.
  public let path: [PathKey]
  public let tensor: Tensor
  /// Known for tensors of pickled modules and of `torch.nn.Parameter`.
  public let role: Role?
  /// The path of the state dict it belongs to; nil for tensors of none, such as an optimizer's.
  public let stateDict: [PathKey]?

  /// The path joined with dots.
  public var name: String { path.joinedName }
}

/// A value of a checkpoint that is no tensor.
public struct CheckpointObject: Sendable {
  /// The steps from the root.
  public let path: [PathKey]
  /// Python's name of its type: `int`, `dict`, `argparse.Namespace`.
  public let type: String
  /// The value of a scalar or text.
  public let value: JSONValue?
  /// How many elements a collection has whose elements are not listed one by one.
  public let count: Int?
  /// The kind of tensor this is, when it is one of a kind that is not read.
  public let unreadTensor: String?

  /// The path joined with dots.
  public var name: String { path.joinedName }
}

/// Everything a checkpoint holds, in the file's order.
struct CheckpointContents {
  var tensors: [CheckpointTensor] = []
  var objects: [CheckpointObject] = []
}
