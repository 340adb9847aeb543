internal import DecantBytes
internal import DecantPickle
internal import DecantTensors

/// Reconstruction of tensors from the calls in PyTorch's pickles. Nothing is called.
///
/// Source: PyTorch `torch/_utils.py`, `torch/_tensor.py`, `torch/serialization.py`; docs/formats/torch-objects.md.
struct TensorReconstruction {
  /// The result of reconstructing an object.
  package enum Outcome {
    case tensor(Tensor)
    /// A nested tensor: tensors of unequal sizes that PyTorch holds as one.
    case nested([Tensor])
    /// A NumPy scalar.
    case scalar(type: String, JSONValue)
    /// An array whose type tensors do not have. `elements` holds elements that are values of their own. `unread` is set
    /// for arrays of numbers.
    case array(type: String, count: Int, elements: [PickleValue]?, unread: ArrayDataSearch.Finding? = nil)
    /// The fields of an array of records. Those without a tensor are of types that tensors do not have.
    case records([(field: RecordType.Field, tensor: Tensor?)], shape: [Int])
    /// The contents of a file inside the pickle.
    case contents(CheckpointContents)
    /// A tensor of a kind that is not read.
    case unread(ArrayDataSearch.Finding)
    case noTensor
  }

  let graph: PickleGraph
  let limits: Limits
  /// Returns the storage of a reference.
  let storage: (StorageReference) throws(DecantError) -> Storage
  /// The files inside the pickle. Each is opened once.
  let inner: NestedFiles
  /// The objects of persistent IDs that are a single name, when the container stores them separately.
  var named: [ExactText: PersistentIDObject] = [:]
  /// True when the tuple of a storage is accepted without being a persistent ID.
  var acceptsPlainReferences = false

  /// Reconstructs a call of `torch._utils._rebuild_tensor_v2` whose result no opcode changes; nil for other objects.
  ///
  /// Nearly all objects of a state dict are such calls, and need none of the searches for wrappers and pieces.
  ///
  /// - Throws: ``DecantError`` when the tensor's description is wrong.
  func plainTensor(_ object: PickleObject) throws(DecantError) -> Tensor? {
    guard object.construction == .reduce, object.states.isEmpty,
      let global = graph.global(object.callable), global.name == "_rebuild_tensor_v2",
      global.module == "torch._utils", let arguments = graph.tuple(object.arguments)
    else { return nil }
    return try plainTensor(arguments, global)
  }

  private func plainTensor(_ arguments: [PickleValue], _ global: PickleGlobal) throws(DecantError) -> Tensor {
    try require(arguments, 6...7, global)
    return try view(
      arguments, dtype: nil, requiresGrad: arguments[4], metadata: arguments.count > 6 ? arguments[6] : nil)
  }

  /// Reconstructs an object.
  ///
  /// - Throws: ``DecantError`` when it is a tensor whose description is wrong.
  func outcome(_ object: PickleObject, nesting: Int = 0) throws(DecantError) -> Outcome {
    if let old = try oldTensor(object, nesting: nesting) { return old }
    if let sharded = try plainSharded(object, nesting: nesting) { return .tensor(sharded) }
    guard object.construction == .reduce, let global = graph.callable(object.callable) else {
      return .noTensor
    }
    let arguments = graph.tuple(object.arguments) ?? []
    if let outcome = try numpyOutcome(of: global, arguments, object) { return outcome }
    return try outcome(of: global, arguments, nesting: nesting)
  }

  private func outcome(
    of global: PickleGlobal, _ arguments: [PickleValue], nesting: Int
  ) throws(DecantError) -> Outcome {
    guard nesting < 16 else {
      throw DecantError(.limitExceeded, "calls that make a tensor wrap each other more than 16 deep")
    }
    switch global.qualifiedName {
    case "torch._utils._rebuild_tensor":
      try require(arguments, 4...4, global)
      return .tensor(try view(arguments, dtype: nil, requiresGrad: nil, metadata: nil))
    case "torch._utils._rebuild_tensor_v2": return .tensor(try plainTensor(arguments, global))
    case "torch._utils._rebuild_tensor_v3":
      try require(arguments, 7...8, global)
      return .tensor(
        try view(
          arguments, dtype: arguments[6], requiresGrad: arguments[4],
          metadata: arguments.count > 7 ? arguments[7] : nil))
    case "torch._utils._rebuild_parameter":
      try require(arguments, 3...3, global)
      return try parameter(arguments, nesting: nesting)
    case "torch._utils._rebuild_parameter_with_state":
      try require(arguments, 4...4, global)
      return try parameter(arguments, nesting: nesting)
    case "torch._tensor._rebuild_from_type_v2", "torch._tensor._rebuild_from_type":
      // The arguments are (function, type, arguments, state). The tensor is the result of function(*arguments).
      try require(arguments, 4...4, global)
      guard let function = graph.global(arguments[0]), let inner = graph.tuple(arguments[2]) else {
        throw DecantError(.damaged, "\(global.qualifiedName) does not name a function to rebuild from")
      }
      if let whole = try wholeDistributed(arguments, nesting: nesting) { return .tensor(whole) }
      let outcome = try outcome(of: function, inner, nesting: nesting + 1)
      if case .noTensor = outcome {
        return .unread(ArrayDataSearch.Finding(kind: function.qualifiedName.escapedForDisplay))
      }
      return outcome
    case "torch._utils._rebuild_qtensor":
      try require(arguments, 6...7, global)
      return .tensor(try quantized(arguments, nesting: nesting))
    case "torch._utils._rebuild_sparse_tensor":
      try require(arguments, 2...2, global)
      return .tensor(try sparse(arguments, nesting: nesting))
    case "torch._utils._rebuild_nested_tensor":
      try require(arguments, 4...4, global)
      return .nested(try nested(arguments, nesting: nesting))
    case "torch.nested._internal.nested_tensor._rebuild_njt":
      try require(arguments, 1...1, global)
      return .nested(try jagged(arguments[0], nesting: nesting))
    case "torch._utils._rebuild_meta_tensor_no_storage":
      try require(arguments, 4...4, global)
      return .tensor(
        try withoutData(
          dtype: arguments[0], size: arguments[1], stride: arguments[2], offset: .int(0), location: "meta",
          requiresGrad: arguments[3]))
    case "torch._utils._rebuild_wrapper_subclass":
      // The arguments are (class, dtype, size, stride, storage_offset, layout, device, requires_grad). The attributes
      // hold the data.
      try require(arguments, 8...8, global)
      return .tensor(
        try withoutData(
          dtype: arguments[1], size: arguments[2], stride: arguments[3], offset: arguments[4],
          location: graph.deviceName(arguments[6]), requiresGrad: arguments[7]))
    case "torch._utils._rebuild_device_tensor_from_cpu_tensor",
      "torch._utils._rebuild_device_tensor_from_numpy", "torch._utils._rebuild_xla_tensor":
      try require(arguments, 4...4, global)
      return .tensor(try deviceTensor(arguments, nesting: nesting))
    case "torch.storage._load_from_bytes":
      try require(arguments, 1...1, global)
      return .contents(try inner.open(arguments[0], in: graph))
    default:
      guard let (view, dtype) = viewArguments(in: arguments) else { return .noTensor }
      return .tensor(
        try self.view(
          view, dtype: dtype, requiresGrad: view[4],
          metadata: view.dropFirst(6).first { graph.dictionary($0) != nil }))
    }
  }

  /// Returns the arguments of `torch._utils._rebuild_tensor_v2` among those of another library's function, and the
  /// dtype when the function has the arguments of `_rebuild_tensor_v3`; nil when there are none.
  ///
  /// They may follow a class, be a tuple of their own, and be followed by a device's storage format.
  private func viewArguments(in arguments: [PickleValue]) -> (view: [PickleValue], dtype: PickleValue?)? {
    guard 2...12 ~= arguments.count else { return nil }
    let candidates = [arguments, Array(arguments.dropFirst())] + arguments.compactMap { graph.tuple($0) }
    for view in candidates where 6...12 ~= view.count {
      guard isStorage(view[0]), case .int = view[1], let shape = integers(view[2]),
        let strides = integers(view[3]), shape.count == strides.count, case .bool = view[4]
      else { continue }
      return (view, view.dropFirst(6).first { graph.global($0).flatMap(StorageTypes.dtype) != nil })
    }
    return nil
  }

  private func isStorage(_ value: PickleValue) -> Bool {
    if let object = graph.object(value) {
      return graph.global(object.callable)?.qualifiedName == "torch.storage._load_from_bytes"
    }
    return namedStorage(value) != nil || (try? graph.storageReference(value)) != nil
  }

  /// Returns the function of another library that made a tensor with the arguments of PyTorch's; nil for PyTorch's and
  /// NumPy's own.
  func foreignFunction(of object: PickleObject) -> PickleGlobal? {
    guard object.construction == .reduce, let callable = graph.callable(object.callable),
      let arguments = graph.tuple(object.arguments)
    else { return nil }
    func foreign(_ function: PickleGlobal?, _ arguments: [PickleValue]) -> PickleGlobal? {
      guard let function, !Self.isKnown(function), viewArguments(in: arguments) != nil else { return nil }
      return function
    }
    switch callable.qualifiedName {
    case "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state":
      return arguments.first.flatMap { graph.object($0) }.flatMap {
        foreign(graph.callable($0.callable), graph.tuple($0.arguments) ?? [])
      }
    case "torch._tensor._rebuild_from_type_v2", "torch._tensor._rebuild_from_type":
      guard arguments.count > 2 else { return nil }
      return foreign(graph.global(arguments[0]), graph.tuple(arguments[2]) ?? [])
    default: return foreign(callable, arguments)
    }
  }

  /// Returns true for calls that ``outcome(_:nesting:)`` turns into tensors, and for other calls of the same modules,
  /// which hold no weights.
  static func isKnown(_ callable: PickleGlobal) -> Bool {
    switch callable.module {
    case "torch._utils", "torch._tensor", "torch.storage", "torch.serialization",
      "torch.nested._internal.nested_tensor",
      "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric":
      true
    default:
      StorageTypes.tensorClass(callable) != nil
        || LegacyTensorClasses.parameters.contains(callable.qualifiedName)
        || LegacyTensorClasses.variables.contains(callable.qualifiedName)
        || LegacyTensorClasses.tensors.contains(callable.qualifiedName)
    }
  }

  /// Returns the tensor of a value.
  ///
  /// - Parameter role: the purpose of the tensor, for the message when the value is not one.
  func tensor(_ value: PickleValue, _ role: String, nesting: Int) throws(DecantError) -> Tensor {
    if let tensor = persistentTensor(value) { return tensor }
    if let object = graph.object(value), case .tensor(let tensor) = try outcome(object, nesting: nesting + 1)
    {
      return tensor
    }
    throw DecantError(.damaged, "\(role) is not a tensor")
  }

  private func require(
    _ arguments: [PickleValue], _ counts: ClosedRange<Int>, _ global: PickleGlobal
  ) throws(DecantError) {
    guard counts ~= arguments.count else {
      throw DecantError(
        .damaged, "\(global.qualifiedName) has \(arguments.count) arguments, an unknown number")
    }
  }

  /// Returns a parameter, made by `(data, requires_grad, hooks…)`: the data's tensor with this `requires_grad`.
  private func parameter(_ arguments: [PickleValue], nesting: Int) throws(DecantError) -> Outcome {
    let requiresGrad = arguments[1] == .bool(true)
    if let tensor = persistentTensor(arguments[0]) { return .tensor(tensor.with(requiresGrad: requiresGrad)) }
    guard let object = graph.object(arguments[0]) else {
      throw DecantError(.damaged, "a parameter holds a value that is not a tensor")
    }
    switch try outcome(object, nesting: nesting + 1) {
    case .tensor(let tensor): return .tensor(tensor.with(requiresGrad: requiresGrad))
    case .nested(let tensors): return .nested(tensors.map { $0.with(requiresGrad: requiresGrad) })
    case .unread(let finding): return .unread(finding)
    case .noTensor:
      var search = ArrayDataSearch(graph)
      if let finding = search.finding(object) { return .unread(finding) }
      throw DecantError(.damaged, "a parameter holds a value that is not a tensor")
    default: throw DecantError(.damaged, "a parameter holds a value that is not a tensor")
    }
  }

  /// Returns a view of a storage, made by `(storage, offset, size, stride, …)`.
  func view(
    _ arguments: [PickleValue], dtype: PickleValue?, requiresGrad: PickleValue?, metadata: PickleValue?
  ) throws(DecantError) -> Tensor {
    let (storage, storageClass) = try storage(of: arguments[0])
    let elementType: DType
    if let dtype {
      elementType = try self.dtype(dtype)
    } else if case .typed(let typed) = storageClass {
      elementType = typed
    } else {
      throw DecantError(.damaged, "the tensor has an untyped storage and no dtype")
    }
    guard case .int(let offset) = arguments[1], let offset = Int(exactly: offset),
      let shape = integers(arguments[2]), let strides = integers(arguments[3])
    else { throw DecantError(.damaged, "the tensor's offset, size or stride is not an integer") }
    let bits = try lazyBits(metadata)
    do throws(DecantError) {
      return try Tensor(
        dtype: elementType, shape: shape, strides: strides, storage: storage, storageOffset: offset,
        isConjugated: bits.conj, isNegated: bits.neg, requiresGrad: requiresGrad == .bool(true),
        limits: limits)
    } catch {
      throw error.ofTensor.located(entry: storage.entry)
    }
  }

  /// Returns the storage of a value: a persistent ID, or a file inside the pickle that holds one storage.
  func storage(of value: PickleValue) throws(DecantError) -> (Storage, StorageTypes.StorageClass) {
    if let object = graph.object(value),
      graph.global(object.callable)?.qualifiedName == "torch.storage._load_from_bytes",
      let arguments = graph.tuple(object.arguments), arguments.count == 1
    {
      guard let root = try inner.open(arguments[0], in: graph).rootStorage else {
        throw DecantError(
          .damaged, "the tensor's storage is a file within the pickle that holds no storage")
      }
      return root
    }
    if let named = namedStorage(value) { return named }
    let (reference, storageClass) = try storageReference(value)
    return (try storage(reference), storageClass)
  }

  /// Returns the dtype that a value names.
  func dtype(_ value: PickleValue) throws(DecantError) -> DType {
    guard let dtype = graph.global(value).flatMap(StorageTypes.dtype) else {
      throw DecantError(.unsupportedFormat, "the tensor's dtype is unknown")
    }
    return dtype
  }

  /// Returns the storage that a persistent ID describes.
  func storageReference(
    _ value: PickleValue
  ) throws(DecantError) -> (StorageReference, StorageTypes.StorageClass) {
    // Imitations of PyTorch 0.1's tar files write the tuple itself instead of a persistent ID.
    if acceptsPlainReferences, let parts = graph.tuple(value) { return try graph.storageReference(of: parts) }
    return try graph.storageReference(value)
  }

  /// Returns the integers of a tuple, list or `torch.Size`; nil for other values.
  func integers(_ value: PickleValue) -> [Int]? {
    var elements = graph.tuple(value) ?? graph.list(value)
    if elements == nil, let object = graph.object(value),
      graph.global(object.callable)?.qualifiedName == "torch.Size",
      let arguments = graph.tuple(object.arguments), arguments.count == 1
    {
      elements = graph.tuple(arguments[0]) ?? graph.list(arguments[0])
    }
    guard let elements else { return nil }
    var integers: [Int] = []
    for element in elements {
      guard case .int(let integer) = element, let integer = Int(exactly: integer) else { return nil }
      integers.append(integer)
    }
    return integers
  }

  /// Returns the `conj` and `neg` bits of a metadata dictionary.
  private func lazyBits(_ metadata: PickleValue?) throws(DecantError) -> (conj: Bool, neg: Bool) {
    var bits = (conj: false, neg: false)
    guard let metadata, metadata != .none else { return bits }
    guard case .dictionary(let pairs) = graph.node(metadata) else {
      throw DecantError(.damaged, "the tensor's metadata is not a dictionary")
    }
    for pair in pairs {
      switch graph.text(pair.key) {
      case "conj": bits.conj = pair.value == .bool(true)
      case "neg": bits.neg = pair.value == .bool(true)
      default: break
      }
    }
    return bits
  }
}
