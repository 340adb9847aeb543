internal import DecantBytes
package import DecantPickle
internal import DecantTensors

/// The object of a persistent ID that is a single name (PyTorch 0.1).
enum PersistentIDObject {
  case tensor(Tensor)
  case storage(Storage, StorageTypes.StorageClass)
}

/// The classes whose instances PyTorch 0.1 to 0.3 pickled by their state.
enum LegacyTensorClasses {
  /// Returns true when a name ends with the last letter of one of the names below. This cheap test rules out most
  /// calls.
  static func mayBe(_ global: PickleGlobal) -> Bool {
    switch global.name.utf8.last {
    case UInt8(ascii: "r"), UInt8(ascii: "e"), UInt8(ascii: "_"): true
    default: false
    }
  }

  static let parameters: Set<String> = ["torch.nn.Parameter", "torch.nn.parameter.Parameter"]
  static let variables: Set<String> = ["torch.autograd.Variable", "torch.autograd.variable.Variable"]
  static let tensors: Set<String> = ["torch.Tensor", "torch.tensor.Tensor", "torch._tensor.Tensor"]
  /// The functions that protocols 0 and 1 call to make an instance. The class is their first argument.
  static let makers: Set<String> = [
    "copy_reg.__newobj__", "copyreg.__newobj__", "copy_reg._reconstructor", "copyreg._reconstructor",
  ]
}

/// Reconstruction of tensors, Variables and Parameters that are pickled as an instance and a BUILD state.
///
/// Source: PyTorch `torch/_tensor.py` (`__setstate__`), and `torch/tensor.py` and `torch/autograd/variable.py`
/// of PyTorch 0.1 to 0.3.
extension TensorReconstruction {
  /// Returns the tensor of an object's class and state; nil when it is not one of these classes.
  func oldTensor(_ object: PickleObject, nesting: Int) throws(DecantError) -> Outcome? {
    guard let callable = graph.callable(object.callable), LegacyTensorClasses.mayBe(callable) else {
      return nil
    }
    let type = graph.madeClass(object) ?? callable
    var arguments = graph.tuple(object.arguments) ?? []
    if graph.madeClass(object) != nil {
      // The arguments of _reconstructor are (class, object, None), so none of them is data.
      arguments = callable.name == "_reconstructor" ? [] : Array(arguments.dropFirst())
    }
    let name = type.qualifiedName
    let isWrapper =
      LegacyTensorClasses.parameters.contains(name) || LegacyTensorClasses.variables.contains(name)
    let dtype = StorageTypes.tensorClass(type)
    guard isWrapper || dtype != nil || LegacyTensorClasses.tensors.contains(name) else { return nil }
    guard nesting < 16 else {
      throw DecantError(.limitExceeded, "calls that make a tensor wrap each other more than 16 deep")
    }
    var data = arguments.first
    var requiresGrad: PickleValue =
      arguments.count > 1 ? arguments[1] : .bool(LegacyTensorClasses.parameters.contains(name))
    for state in object.states {
      guard let parts = graph.tuple(state) else { continue }
      switch parts.count {
      case 3: requiresGrad = parts[0]
      case 4:
        let view = try view(parts, dtype: nil, requiresGrad: nil, metadata: nil)
        guard dtype == nil || dtype == view.dtype else {
          throw DecantError(
            .damaged, "\(name) has a storage of \(view.dtype.rawValue), which PyTorch rejects")
        }
        return .tensor(view)
      case 5: (data, requiresGrad) = (parts[0], parts[3])
      default: break
      }
    }
    guard isWrapper, let data, let tensor = try tensor(data, nesting: nesting + 1) else { return nil }
    return .tensor(tensor.with(requiresGrad: requiresGrad == .bool(true)))
  }

  /// Returns the tensor of a value: an object that makes one, or a persistent ID of one; nil for other values.
  func tensor(_ value: PickleValue, nesting: Int) throws(DecantError) -> Tensor? {
    if let tensor = persistentTensor(value) { return tensor }
    guard let object = graph.object(value), case .tensor(let tensor) = try outcome(object, nesting: nesting)
    else { return nil }
    return tensor
  }

  /// Returns the tensor of a persistent ID; nil for other values.
  func persistentTensor(_ value: PickleValue) -> Tensor? {
    guard !named.isEmpty, let name = graph.persistentName(value),
      case .tensor(let tensor)? = named[ExactText(name)]
    else { return nil }
    return tensor
  }

  /// Returns the storage and storage class of a persistent ID that is a single name; nil for other values.
  func namedStorage(_ value: PickleValue) -> (Storage, StorageTypes.StorageClass)? {
    guard !named.isEmpty, let name = graph.persistentName(value),
      case .storage(let storage, let type)? = named[ExactText(name)]
    else { return nil }
    return (storage, type)
  }

  /// Returns the qualified name of that storage class.
  func storageClassName(_ value: PickleValue) -> String? {
    switch namedStorage(value)?.1 {
    case .typed(let dtype): StorageTypes.typedStorageName(dtype).map { "torch." + $0 }
    case .untyped: "torch.storage.UntypedStorage"
    case nil: nil
    }
  }
}

extension PickleGraph {
  /// Returns the class of an object that protocols 0 and 1 make by a call to `copy_reg`; nil for all others.
  package func madeClass(_ object: PickleObject) -> PickleGlobal? {
    guard object.construction == .reduce, let maker = global(object.callable),
      LegacyTensorClasses.mayBe(maker),
      LegacyTensorClasses.makers.contains(maker.qualifiedName), let first = tuple(object.arguments)?.first
    else { return nil }
    return callable(first)
  }
}
