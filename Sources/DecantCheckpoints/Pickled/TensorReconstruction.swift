internal import DecantBytes
internal import DecantPickle
internal import DecantTensors

/// Turns the calls that PyTorch's pickles ask for into tensors; nothing is called.
///
/// Source: PyTorch `torch/_utils.py`, `torch/_tensor.py`, `torch/serialization.py`; docs/formats/torch-objects.md.
struct TensorReconstruction {
  /// What an object turned out to be.
  enum Outcome {
    case tensor(Tensor)
    /// Tensors of unequal sizes that PyTorch holds as one.
    case nested([Tensor])
    /// A number that NumPy wraps.
    case scalar(type: String, JSONValue)
    /// An array of what no tensor holds: its type, and its elements when they are values of their own. Numbers are a tensor
    /// that is not read.
    case array(type: String, count: Int, elements: [PickleValue]?, unread: ArrayDataSearch.Finding? = nil)
    /// Everything a file within the pickle holds.
    case contents(CheckpointContents)
    /// A tensor of a kind that is not read.
    case unread(ArrayDataSearch.Finding)
    case noTensor
  }

  let graph: PickleGraph
  let limits: Limits
  /// Finds a storage's bytes.
  let storage: (StorageReference) throws(DecantError) -> Storage
  /// Files within the pickle, each opened once.
  let inner: InnerFiles
  /// What the persistent ids that are one name stand for, where the container says it apart.
  var named: [ExactText: PersistentObject] = [:]
  /// Whether the tuple of a storage counts without being a persistent id.
  var takesPlainReferences = false

  /// What an object is.
  ///
  /// - Throws: ``DecantError`` when it is a tensor whose description is wrong.
  func outcome(_ object: PickleObject, nesting: Int = 0) throws(DecantError) -> Outcome {
    if let old = try oldTensor(object, nesting: nesting) { return old }
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
    case "torch._utils._rebuild_tensor_v2":
      try require(arguments, 6...7, global)
      return .tensor(
        try view(
          arguments, dtype: nil, requiresGrad: arguments[4],
          metadata: arguments.count > 6 ? arguments[6] : nil))
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
      // (function, type, arguments, state): the tensor that function(*arguments) makes.
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
      // (class, dtype, size, stride, storage_offset, layout, device, requires_grad): its data are the attributes.
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
      return .noTensor
    }
  }

  /// Whether a call is one of those that ``outcome(_:nesting:)`` turns into tensors, or into nothing else of weight.
  static func isKnown(_ callable: PickleGlobal) -> Bool {
    [
      "torch._utils", "torch._tensor", "torch.storage", "torch.serialization",
      "torch.nested._internal.nested_tensor",
      "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric",
    ].contains(callable.module) || StorageTypes.tensorClass(callable) != nil
      || OldTensors.parameters.contains(callable.qualifiedName)
      || OldTensors.variables.contains(callable.qualifiedName)
      || OldTensors.tensors.contains(callable.qualifiedName)
  }

  /// The tensor a value is.
  ///
  /// - Parameter role: what the tensor is for, for the message when it is none.
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
        .damaged, "\(global.qualifiedName) has \(arguments.count) arguments, which no PyTorch writes")
    }
  }

  /// `(data, requires_grad, hooks…)`: the data's tensor, trained or not.
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

  /// `(storage, offset, size, stride, …)`: a view.
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

  /// The storage a value stands for: a persistent id, or a file within the pickle that holds one.
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

  /// The element type a value names.
  func dtype(_ value: PickleValue) throws(DecantError) -> DType {
    guard let dtype = graph.global(value).flatMap(StorageTypes.dtype) else {
      throw DecantError(.unsupportedFormat, "PyTorch has no such dtype as the tensor's")
    }
    return dtype
  }

  /// The description of a storage's persistent id.
  func storageReference(
    _ value: PickleValue
  ) throws(DecantError) -> (StorageReference, StorageTypes.StorageClass) {
    // Imitations of PyTorch 0.1's tar files put the tuple itself where the persistent id stands.
    if takesPlainReferences, let parts = graph.tuple(value) { return try graph.storageReference(of: parts) }
    return try graph.storageReference(value)
  }

  /// The integers of a tuple, list or `torch.Size`.
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

  /// The `conj` and `neg` bits of a metadata dictionary.
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
