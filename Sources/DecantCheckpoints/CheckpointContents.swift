public import DecantBytes
internal import DecantPickle
public import DecantTensors

/// A tensor of a checkpoint and its place in it.
public struct CheckpointTensor: Sendable {
  /// The use that PyTorch's modules make of a tensor.
  public enum Role: String, Sendable {
    case parameter, buffer
  }
  /// The steps from the root.
  package let path: [PathKey]
  /// The tensor; its elements stay in the file until they are asked for.
  public let tensor: Tensor
  /// Parameter or buffer; nil where the file does not say, as in a plain state dict.
  public let role: Role?
  /// The path of the state dict it belongs to; nil for tensors of none, such as an optimizer's.
  package let stateDict: [PathKey]?
  /// The class of a subclass of `torch.Tensor`, such as `torch.distributed.tensor.DTensor`.
  package let subclass: String?

  init(
    path: [PathKey], tensor: Tensor, role: Role? = nil, stateDict: [PathKey]? = nil, subclass: String? = nil
  ) {
    self.path = path
    self.tensor = tensor
    self.role = role
    self.stateDict = stateDict
    self.subclass = subclass
  }

  /// The same tensor below other steps.
  func moved(below steps: [PathKey]) -> CheckpointTensor {
    var entry = CheckpointTensor(
      path: steps + path, tensor: tensor, role: role, stateDict: stateDict.map { steps + $0 },
      subclass: subclass)
    entry.state = state
    entry.rankPart = rankPart?.moved(below: steps)
    return entry
  }

  /// Which part of a larger tensor this is, when it is one process's part of a checkpoint of several.
  var rankPart: RankPart?

  /// Whole, unless the file was cut off or a file of several is absent.
  public internal(set) var state = State.whole

  /// How much of a tensor's data is there.
  public enum State: String, Sendable {
    case whole, truncated, missing
  }

  /// The path from the root, joined with dots: `model.conv1.weight`.
  public var name: String { path.joinedName }
}

/// A value of a checkpoint that is not a tensor, such as an epoch or a training argument.
public struct CheckpointObject: Sendable {
  /// The steps from the root.
  package let path: [PathKey]
  /// Python's name of its type: `int`, `dict`, `argparse.Namespace`.
  public let type: String
  /// The value of a scalar or text.
  public let value: JSONValue?
  /// The number of elements of a collection that are not listed one by one; nil for other values.
  public let count: Int?
  /// The kind of tensor this is, when it is one of a kind that is not read.
  package internal(set) var unreadTensor: String?
  /// The path of the state dict that such a tensor belongs to; nil when it belongs to none.
  var stateDict: [PathKey]? = nil
  /// True for a storage that no tensor uses.
  var isStorage = false
  /// Its sizes, outermost first, when it is such a tensor and the file tells them.
  package var shape: [Int]? = nil
  /// The bytes it is stored in, when it is such a tensor and the file tells them.
  package var byteCount: Int? = nil
  /// Each module of a state dict's `_metadata`, in its order: those without parameters too.
  package var moduleVersions: [ModuleVersion]? = nil
  /// A value of a GGUF file's metadata that is not listed.
  var encoded: GGUFEncodedValue? = nil

  /// The same value below other steps.
  func moved(below steps: [PathKey]) -> CheckpointObject {
    CheckpointObject(
      path: steps + path, type: type, value: value, count: count, unreadTensor: unreadTensor,
      stateDict: stateDict.map { steps + $0 }, isStorage: isStorage, shape: shape, byteCount: byteCount,
      moduleVersions: moduleVersions)
  }

  /// The path from the root, joined with dots: `model.conv1.weight`.
  public var name: String { path.joinedName }
}

/// What a state dict's `_metadata` says of one module.
package struct ModuleVersion: Sendable, Equatable {
  /// The module's path: `layer1.0.conv1`; empty for the outermost.
  package let path: String
  /// The version of the format of the module's own state; nil when none is recorded.
  package let version: Int64?
}

/// The source of a class of modules, which PyTorch before 1.6 put beside a whole pickled module.
package struct ModuleSource: Sendable {
  /// The class: `__main__.Net`.
  package let className: String
  /// The file it stood in, on the machine that wrote the checkpoint.
  package let file: String?
  /// The text; nil when it is longer than `Limits.textBytes`, or all of them than `Limits.allTextBytes`.
  package let text: String?
  /// Bytes of the text.
  package let byteCount: Int
}

/// Everything a checkpoint holds, in the file's order.
struct CheckpointContents {
  var tensors: [CheckpointTensor] = []
  var objects: [CheckpointObject] = []
  var sources: [ModuleSource] = []
  /// The pickle that says all of it, when one does.
  var graph: PickleGraph?
  /// The storage that is the whole file, and its class, when the file is no more than one.
  var rootStorage: (Storage, StorageTypes.StorageClass)?
}
