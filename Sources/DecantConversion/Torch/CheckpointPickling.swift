internal import DecantBytes
internal import DecantCheckpoints
internal import DecantIO
internal import DecantPickle
internal import DecantTensors

/// Writes a checkpoint as one pickle that PyTorch's `weights_only` loader reads.
///
/// A source that is a pickle keeps its objects: every value that the loader accepts is written again, shared values
/// once. A value that the loader refuses is an error, or is left out if requested; tensors inside it are written as a
/// state dict instead. The traversal uses an explicit stack, so deep nesting does not use the call stack.
struct CheckpointPickling {
  /// The finished pickle.
  var bytes: [UInt8] { writer.bytes }
  /// The number of values that were left out because the loader refuses them.
  private(set) var droppedCount = 0
  /// The names of the first of these values.
  var droppedNames: [String] { refusals.map(\.path) }
  var tensors: TensorPickling

  let plan: ConversionPlan
  let graph: PickleGraph?
  var places: OutputTree
  var writer = PickleWriter()
  /// The memo index of every graph node, or -1.
  var memo: [Int]
  var pending: [Step] = []
  /// The path of every value visited, as a linked list in an array; for messages.
  private var trail: [Way] = []
  private var refusals: [(path: String, type: String)] = []
  /// The paths of tensors of kinds that are not read, which the caller leaves out.
  private let leftOut: Set<[PathKey]>
  var openTuples: Set<PickleNodeID> = []
  /// The planned tensors that the pickle already contains.
  var isWritten: [Bool]
  /// True when a value that contains tensors may be written once and shared by all its paths.
  var sharesContainers: Bool { places.isUnchanged && plan.options.renamed.isEmpty }
  var keyVerdicts: [PickleNodeID: Bool] = [:]
  /// The tree nodes that are written, for a checkpoint without a pickle.
  var keptBranches: [Bool] = []

  /// A key of a path, and the index of the previous key in `trail`; -1 at the root.
  private struct Way {
    let parent: Int
    let key: PathKey
  }

  package enum Step {
    /// A value, the index of its tree node if it is on the path of a tensor, and the index of its path in `trail`.
    case value(PickleValue, place: Int?, way: Int)
    /// A tree node of a checkpoint without a pickle.
    case branch(Int)
    case stateDict(Int)
    case key(PickleValue)
    case text(String)
    case arrival(Int, isDetached: Bool)
    case nothing
    case opcode(PickleWriter.Opcode)
    case remember(PickleNodeID)
    case rememberNew
    case emptyOrderedDictionary
    case endTuple(PickleNodeID, count: Int)
  }

  /// Writes the pickle without reading any weights. O(values + tensors).
  ///
  /// - Throws: ``DecantError`` that names the values that the loader refuses, unless they are to be left out; or a
  ///   tensor that cannot be written.
  init(_ plan: ConversionPlan) throws {
    self.plan = plan
    graph = plan.checkpoint.graph
    leftOut = plan.unreadPathsLeftOut
    places = OutputTree(plan)
    memo = [Int](repeating: -1, count: graph?.nodes.count ?? 0)
    isWritten = [Bool](repeating: false, count: plan.tensors.count)
    tensors = try TensorPickling(
      plan.tensors, shrinks: plan.options.shrinks, isLegacy: plan.options.isLegacy)
    if let graph, let root = graph.value(at: plan.selection.path) {
      setForms(root, in: graph)
      try places.settle(plan.tensors)
      pending = [.value(root, place: 0, way: -1)]
    } else if [.dcp, .ranks, .deepspeed].contains(plan.checkpoint.container) {
      setFormsOfBranches()
      try places.settle(plan.tensors)
      keepBranches()
      pending = [.branch(0)]
    } else if places[0].tensor != nil {
      places.set(.tensor, at: 0)
      try places.settle(plan.tensors)
      pending = [.branch(0)]
    } else {
      places.set(.stateDict, at: 0)
      try places.settle(plan.tensors)
      noteObjects()
      pending = [.stateDict(0)]
    }
    while let step = pending.popLast() { try take(step) }
    writer.write(.stop)
    try refuse()
    if let lost = isWritten.firstIndex(of: false) {
      throw DecantError(
        .notRepresentable, "appears twice at the same path, and only one can be kept",
        file: plan.checkpoint.path,
        tensor: plan.tensors[lost].name, advice: .exceptTensors([plan.tensors[lost].source.asGlob]))
    }
  }

  private mutating func take(_ step: Step) throws(DecantError) {
    switch step {
    case .value(let value, let place, let way): try write(value, place, way)
    case .branch(let place): try write(branch: place)
    case .stateDict(let place): try write(stateDict: place)
    case .key(let key): writeKey(key)
    case .text(let text): writeNew(text: text)
    case .arrival(let index, let isDetached): write(arrival: index, isDetached: isDetached)
    case .nothing: writer.write(.none)
    case .opcode(let opcode): writer.write(opcode)
    case .remember(let id): memo[Int(id.index)] = writer.remember()
    case .rememberNew: _ = writer.remember()
    case .emptyOrderedDictionary: writer.emptyOrderedDictionary()
    case .endTuple(let id, let count):
      writer.endTuple(count: count)
      openTuples.remove(id)
      memo[Int(id.index)] = writer.remember()
    }
  }

  // MARK: Forms of the tree nodes

  /// Sets the form of every node on the path of a tensor.
  private mutating func setForms(_ root: PickleValue, in graph: PickleGraph) {
    var open: [(value: PickleValue, place: Int)] = [(root, 0)]
    func step(_ place: Int, _ key: PathKey, _ value: PickleValue) {
      if let child = places.child(of: place, key) { open.append((value, child)) }
    }
    while let (value, place) = open.popLast() {
      // Two values can have the same path; the first one sets the form.
      guard places[place].form == .absent else { continue }
      if places[place].isTensor {
        guard places[place].tensor != nil else {
          places.set(.stateDict, at: place)
          continue
        }
        places.set(.tensor, at: place)
        if let state = attachment(to: value, in: graph)?.state { step(place, .text("__dict__"), state) }
        continue
      }
      switch LoadableValue(value, in: graph) {
      case .mapping(_, let pairs, let attributes):
        places.set(.mapping, at: place)
        for pair in pairs + attributes { step(place, graph.pathKey(pair.key), pair.value) }
      case .list(let elements), .tuple(let elements):
        places.set(.sequence, at: place)
        for (position, element) in elements.enumerated() { step(place, .position(position), element) }
      default: places.set(.stateDict, at: place)
      }
    }
  }

  /// Returns the attributes that Python code attached to a tensor of a class that the loader accepts; nil if there
  /// are none.
  func attachment(
    to value: PickleValue, in graph: PickleGraph
  ) -> (state: PickleValue, isParameter: Bool)? {
    guard let object = graph.object(value), let arguments = graph.tuple(object.arguments),
      arguments.count == 4, let function = graph.global(object.callable)?.qualifiedName
    else { return nil }
    switch function {
    case "torch._utils._rebuild_parameter_with_state":
      return (arguments[3], true)
    case "torch._tensor._rebuild_from_type", "torch._tensor._rebuild_from_type_v2":
      guard let type = graph.global(arguments[1])?.qualifiedName else { return nil }
      let isTensor = ["torch.Tensor", "torch._tensor.Tensor"].contains(type)
      let isParameter = type == "torch.nn.parameter.Parameter"
      return isTensor || isParameter ? (arguments[3], isParameter) : nil
    default: return nil
    }
  }

  // MARK: Refused values

  /// Appends a key to a path and returns the new path's index in `trail`. O(1).
  mutating func add(_ key: PathKey, to way: Int) -> Int {
    trail.append(Way(parent: way, key: key))
    return trail.count - 1
  }

  /// Returns the type name that messages show for a value that is not written.
  func typeName(_ value: PickleValue) -> String {
    guard let graph else { return "" }
    return switch LoadableValue(value, in: graph) {
    case .refused(let type): type
    case .list: "list"
    case .mapping: "dict"
    case .set: "set"
    case .byteArray: "bytearray"
    default: "tuple"
    }
  }

  /// Records a value that the loader refuses.
  mutating func note(_ way: Int, _ type: String) {
    guard refusals.count < Self.namedCount || !leftOut.isEmpty else {
      droppedCount += 1
      return
    }
    var keys: [PathKey] = []
    var way = way
    while way >= 0 {
      keys.append(trail[way].key)
      way = trail[way].parent
    }
    let path = plan.selection.path + keys.reversed()
    if !leftOut.contains(path) { note(path.joinedName, type) }
  }

  /// Records a value that is not written, unless the caller leaves it out.
  mutating func note(_ object: CheckpointObject) {
    if !leftOut.contains(object.path) { note(object.name, object.type) }
  }

  /// Records a value that is not written.
  private mutating func note(_ name: String, _ type: String) {
    droppedCount += 1
    if refusals.count < Self.namedCount { refusals.append((name, type)) }
  }

  /// Records the non-tensor values of a source whose output is only a state dict.
  private mutating func noteObjects() {
    // The values of these formats describe the file or the network, not the state dict.
    guard ![.gguf, .safetensors, .onnx, .mlpackage].contains(plan.checkpoint.container) else { return }
    for object in plan.checkpoint.objects where object.path.starts(with: plan.selection.path) {
      note(object)
    }
  }

  private static let namedCount = 32

  private func refuse() throws(DecantError) {
    guard droppedCount > 0, !plan.options.dropsObjects else { return }
    let list = refusals.map { path, type in
      "\(path.isEmpty ? "the root" : path.escapedForDisplay) (\(type.escapedForDisplay))"
    }.joined(separator: ", ")
    throw DecantError(
      .notRepresentable,
      "holds \(droppedCount == 1 ? "a value" : "\(Format.count(droppedCount, "value"))") that torch.load(weights_only=True) rejects: \(list)"
        + (droppedCount > refusals.count ? " and \(droppedCount - refusals.count) more" : ""),
      file: plan.checkpoint.path,
      advice: .dropObjects)
  }
}
