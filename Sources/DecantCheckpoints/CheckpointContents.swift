public import DecantBytes
internal import DecantPickle
public import DecantTensors

/// A reason why a value outside every state dict is certainly no weight of the network.
package enum Purpose: Sendable {
  case optimizer
  case dataFrame
  /// A value attached to a tensor as its attribute.
  case attachment
  /// An attribute of a module that its `state_dict()` leaves out.
  case attribute
  /// A buffer that was registered with `persistent=False`.
  case unsavedBuffer
}

/// A tensor of a checkpoint, with its path and role.
public struct CheckpointTensor: Sendable {
  /// The role of a tensor in a PyTorch module.
  public enum Role: String, Sendable {
    case parameter, buffer
  }
  /// The keys from the root to the tensor.
  package let path: [PathKey]
  /// The tensor. Its elements stay in the file until they are requested.
  public let tensor: Tensor
  /// Parameter or buffer; nil when the file does not say, as in a plain state dict.
  public let role: Role?
  /// The path of the state dict that the tensor belongs to; nil for other tensors, such as an optimizer's.
  package let stateDict: [PathKey]?
  /// The class of a subclass of `torch.Tensor`, such as `torch.distributed.tensor.DTensor`; nil for plain tensors.
  package let subclass: String?
  /// The reason why the tensor is certainly no weight; nil when it may be one.
  package let purpose: Purpose?

  package init(
    path: [PathKey], tensor: Tensor, role: Role? = nil, stateDict: [PathKey]? = nil, subclass: String? = nil,
    purpose: Purpose? = nil
  ) {
    self.path = path
    self.tensor = tensor
    self.role = role
    self.stateDict = stateDict
    self.subclass = subclass
    self.purpose = purpose
  }

  /// Returns the same tensor with its path below other keys.
  package func moved(below steps: [PathKey]) -> CheckpointTensor {
    var entry = CheckpointTensor(
      path: steps + path, tensor: tensor, role: role, stateDict: stateDict.map { steps + $0 },
      subclass: subclass, purpose: purpose)
    entry.state = state
    entry.turned = turned
    entry.rankPart = rankPart?.moved(below: steps)
    entry.rankPiece = rankPiece
    return entry
  }

  /// The values that only tensors of several processes have. One pointer keeps the copies of all other entries cheap.
  private var rank: Rank?

  /// The part and the piece of a tensor that one of several processes wrote.
  private final class Rank: Sendable {
    let part: RankPart?
    let piece: RankPiece?

    init?(_ part: RankPart?, _ piece: RankPiece?) {
      guard part != nil || piece != nil else { return nil }
      (self.part, self.piece) = (part, piece)
    }
  }

  /// The part of a larger tensor that this is, when one of several processes wrote it; otherwise nil.
  package var rankPart: RankPart? {
    get { rank?.part }
    set { rank = Rank(newValue, rankPiece) }
  }
  /// True for a tensor of which this file holds one process's part. False for the tensors that the part consists of.
  package var isRankPart: Bool { rankPart.map { $0.owner == path } ?? false }
  /// The elements that this file holds of a tensor that several processes hold, and their position; nil for other
  /// tensors, and when the file does not record the position.
  package var rankPiece: RankPiece? {
    get { rank?.piece }
    set { rank = Rank(rankPart, newValue) }
  }

  /// The kind of convolution whose weight this is, when the file records that it is channels last; otherwise nil.
  package var turned: ConvolutionKind?

  /// Whole, unless the file was cut off or one of several files is missing.
  public internal(set) var state = State.whole

  /// The amount of a tensor's data that is available.
  public enum State: String, Sendable {
    case whole, truncated, missing
  }

  /// The keys from the root joined with dots: `model.conv1.weight`.
  public var name: String { path.joinedName }
}

/// A value of a checkpoint that is not a tensor, such as an epoch or a training argument.
public struct CheckpointObject: Sendable {
  /// The keys from the root to the value.
  package let path: [PathKey]
  /// The Python name of the value's type: `int`, `dict`, `argparse.Namespace`.
  public let type: String
  /// The value of a scalar or text.
  public let value: JSONValue?
  /// The number of elements of a collection that is not listed element by element; nil for other values.
  public let count: Int?
  /// The kind of tensor, when the value is a tensor of a kind that is not read; otherwise nil.
  package internal(set) var unreadTensor: String?
  /// The path of the state dict that an unread tensor belongs to; nil when it belongs to none.
  package var stateDict: [PathKey]? = nil
  /// The reason why an unread tensor is certainly no weight; nil when it may be one.
  package var purpose: Purpose? = nil
  /// The sizes of an unread tensor, outermost first, when the file records them.
  package var shape: [Int]? = nil
  /// The number of bytes of an unread tensor, when the file records it.
  package var byteCount: Int? = nil
  /// The modules of a state dict's `_metadata`, in its order, including those without parameters.
  package var moduleVersions: [ModuleVersion]? = nil
  /// A value of a GGUF file's metadata that is kept in its encoded form and not listed.
  package var encoded: GGUFEncodedValue? = nil

  /// Returns the same value with its path below other keys.
  package func moved(below steps: [PathKey]) -> CheckpointObject {
    CheckpointObject(
      path: steps + path, type: type, value: value, count: count, unreadTensor: unreadTensor,
      stateDict: stateDict.map { steps + $0 }, purpose: purpose, shape: shape,
      byteCount: byteCount, moduleVersions: moduleVersions)
  }

  /// The keys from the root joined with dots: `model.conv1.weight`.
  public var name: String { path.joinedName }
}

/// One module's record in a state dict's `_metadata`.
package struct ModuleVersion: Sendable, Equatable {
  /// The module's path, such as `layer1.0.conv1`; empty for the outermost module.
  package let path: String
  /// The version of the module's own state format; nil when none is recorded.
  package let version: Int64?
}

/// The source code of a module class, which PyTorch before 1.6 stored with a pickled module.
package struct ModuleSource: Sendable {
  /// The qualified name of the class, such as `__main__.Net`.
  package let className: String
  /// The path of the source file on the machine that wrote the checkpoint.
  package let file: String?
  /// The text; nil when it is longer than `Limits.textBytes`, or all texts together are longer than
  /// `Limits.allTextBytes`.
  package let text: String?
  /// The number of bytes of the text.
  package let byteCount: Int
}

/// Everything a checkpoint holds, in the file's order.
package struct CheckpointContents {
  var tensors: [CheckpointTensor] = []
  var objects: [CheckpointObject] = []
  var sources: [ModuleSource] = []
  /// Messages about values that were read in a way that the user should know.
  var notes: [String] = []
  /// The pickle that describes all of it; nil for formats without one.
  var graph: PickleGraph?
  /// The storage and its class, when the file is nothing but one storage; otherwise nil.
  var rootStorage: (Storage, StorageTypes.StorageClass)?
}

extension CheckpointObject {
  /// The type with its article, and the value when there is a short one, such as "an int (12)".
  var summary: String {
    let article = "aeiouAEIOU".contains(type.prefix(1)) ? "an" : "a"
    let text = value.map { $0.string?.escapedForDisplay ?? $0.text } ?? ""
    return "\(article) \(type.escapedForDisplay)" + (text.isEmpty || text.count > 60 ? "" : " (\(text))")
  }
}
