internal import DecantBytes
internal import DecantPickle
internal import DecantTensors

/// The contents of a DeepSpeed model file, `…_model_states.pt`.
struct DeepSpeedModelStates {
  /// The names and shapes of the trained parameters, by group, in the order of the partitions.
  let groups: [[(name: String, shape: [Int])]]
  let frozenShapes: [(name: String, shape: [Int])]
  /// The buffers' names, in the order of the module's state dict.
  let bufferNames: [String]
  /// The names of parameters that share their tensor with another one.
  let sharedNames: [(name: String, original: String)]
  let version: String?
  /// The tensors under `module` and `frozen_param_fragments`, by name.
  let module: [ExactText: CheckpointTensor]
  let frozenFragments: [ExactText: CheckpointTensor]

  /// The keys of the file that describe the weights.
  static let keys: Set<String> = [
    "module", "param_shapes", "buffer_names", "frozen_param_shapes", "frozen_param_fragments",
    "shared_params",
  ]

  /// - Throws: ``DecantError`` when the file is no model file of ZeRO.
  init(_ contents: CheckpointContents) throws(DecantError) {
    guard let graph = contents.graph, let root = graph.mappingPairs(graph.root) else {
      throw DecantError(.damaged, "is not a model file of DeepSpeed: it holds no dictionary")
    }
    func value(_ name: String) -> PickleValue? { root.last { graph.isText($0.key, name) }?.value }
    for key in ["ds_autoep_layers", "autoep_layers"] where value(key) != nil && value(key) != PickleValue.none
    {
      throw DecantError(
        .unsupportedFormat, "its experts are split by expert parallelism (\(key))",
        remedy: "Convert it where the model was trained, with DeepSpeed's ds_to_universal.py.")
    }
    guard let buffers = value("buffer_names").flatMap({ graph.elements($0) }) else {
      throw DecantError(
        .damaged, "is not a model file of DeepSpeed: it has no buffer_names",
        remedy: "Pass the folder of a checkpoint that DeepSpeed saved with ZeRO.")
    }
    let shapes = value("param_shapes")
    if let shapes, let list = graph.list(shapes) ?? graph.tuple(shapes) {
      var groups: [[(name: String, shape: [Int])]] = []
      for group in list { groups.append(try Self.shapes(group, graph)) }
      self.groups = groups
    } else {
      // Older versions of DeepSpeed hold one dictionary.
      groups = try shapes.map { shapes throws(DecantError) in [try Self.shapes(shapes, graph)] } ?? []
    }
    guard !groups.isEmpty else {
      throw DecantError(
        .unsupportedFormat, "records no param_shapes, so it was not saved with ZeRO 1, 2 or 3",
        remedy: "Pass the model's file itself: it holds whole tensors.")
    }
    let frozen = value("frozen_param_shapes")
    frozenShapes = frozen == nil || frozen == PickleValue.none ? [] : try Self.shapes(frozen ?? .none, graph)
    let pairs = value("shared_params").flatMap { graph.mappingPairs($0) } ?? []
    sharedNames = pairs.compactMap { pair in
      guard let name = graph.text(pair.key), let original = graph.text(pair.value) else { return nil }
      return (name, original)
    }
    version = value("ds_version").flatMap { graph.text($0) }
    var module: [ExactText: CheckpointTensor] = [:]
    var fragments: [ExactText: CheckpointTensor] = [:]
    var order: [String] = []
    for entry in contents.tensors where entry.path.count == 2 {
      guard case .text(let section) = entry.path[0], case .text(let name) = entry.path[1] else { continue }
      if section == "module", module.updateValue(entry, forKey: ExactText(name)) == nil { order.append(name) }
      if section == "frozen_param_fragments" { fragments[ExactText(name)] = entry }
    }
    self.module = module
    frozenFragments = fragments
    let names = Set(buffers.compactMap { graph.text($0).map(ExactText.init) })
    bufferNames = order.filter { names.contains(ExactText($0)) }
    var seen: Set<ExactText> = []
    for (name, _) in groups.flatMap({ $0 }) where !seen.insert(ExactText(name)).inserted {
      throw DecantError(.damaged, "param_shapes has the parameter twice", tensor: name)
    }
  }

  /// Returns true when another file records the same parameters in the same order.
  func hasShapes(of other: DeepSpeedModelStates) -> Bool {
    func areEqual(_ a: [(name: String, shape: [Int])], _ b: [(name: String, shape: [Int])]) -> Bool {
      a.count == b.count
        && zip(a, b).allSatisfy { ExactText($0.name) == ExactText($1.name) && $0.shape == $1.shape }
    }
    return groups.count == other.groups.count && zip(groups, other.groups).allSatisfy { areEqual($0, $1) }
      && areEqual(frozenShapes, other.frozenShapes)
  }

  private static func shapes(
    _ value: PickleValue, _ graph: PickleGraph
  ) throws(DecantError) -> [(name: String, shape: [Int])] {
    guard let pairs = graph.mappingPairs(value) else {
      throw DecantError(.damaged, "the shapes of the parameters are not a dictionary")
    }
    var shapes: [(name: String, shape: [Int])] = []
    for pair in pairs {
      guard let name = graph.text(pair.key), let shape = graph.sizes(pair.value) else {
        throw DecantError(.damaged, "the shapes of the parameters are not names and sizes")
      }
      shapes.append((name, shape))
    }
    return shapes
  }
}

/// The contents of a DeepSpeed optimizer file, `…_optim_states.pt`.
struct DeepSpeedOptimizerStates {
  /// The stage of ZeRO: 1, 2 or 3.
  let stage: Int
  /// The number of ranks that the parameters are divided among.
  let partitionCount: Int
  /// This rank's partition of each group, one-dimensional.
  let groups: [Tensor]
  /// The number of unused elements after each parameter of each group; nil when there are none.
  let alignmentPaddings: [[Int]]?

  /// - Throws: ``DecantError`` when the file is no optimizer file of ZeRO.
  init(_ contents: CheckpointContents) throws(DecantError) {
    guard let graph = contents.graph, let root = graph.mappingPairs(graph.root),
      let state = root.last(where: { graph.isText($0.key, "optimizer_state_dict") }),
      let pairs = graph.mappingPairs(state.value)
    else { throw DecantError(.damaged, "is not an optimizer file of DeepSpeed") }
    func value(_ name: String) -> PickleValue? { pairs.last { graph.isText($0.key, name) }?.value }
    guard let stage = value("zero_stage").flatMap({ Self.number($0, graph) }) else {
      throw DecantError(
        .unsupportedFormat, "records no zero_stage, so it was not saved with ZeRO 1, 2 or 3",
        remedy: "Pass the model's file itself: it holds whole tensors in the precision of training.")
    }
    guard 1...3 ~= stage else {
      throw DecantError(.unsupportedFormat, "is of ZeRO stage \(stage)")
    }
    self.stage = stage
    // With experts, there is a number for each group.
    let counts = value("partition_count")
    guard let count = counts.flatMap({ Self.number($0, graph) }) ?? counts.flatMap({ graph.sizes($0) })?.max()
    else {
      throw DecantError(.damaged, "records no partition_count")
    }
    partitionCount = count
    let key: PathKey = .text(stage == 3 ? "fp32_flat_groups" : "single_partition_of_fp32_groups")
    var groups: [Tensor] = []
    for entry in contents.tensors
    where entry.path.count == 3 && entry.path[0] == .text("optimizer_state_dict") && entry.path[1] == key {
      guard entry.path[2] == .position(groups.count) else { continue }
      guard entry.tensor.shape.count == 1, entry.tensor.layout == .strided, entry.tensor.quantization == nil,
        entry.tensor.storage.content != nil
      else {
        throw DecantError(.damaged, "the partition is not one-dimensional", tensor: entry.name)
      }
      groups.append(entry.tensor)
    }
    self.groups = groups
    guard !groups.isEmpty else {
      throw DecantError(
        .unsupportedFormat, "holds no float32 weights (\(key.name))",
        remedy: "Pass the model's file itself, or save the checkpoint without swapping to NVMe.")
    }
    if let paddings = value("param_alignment_paddings"),
      let list = graph.list(paddings) ?? graph.tuple(paddings)
    {
      let all = list.map { graph.sizes($0) }
      guard !all.contains(nil) else {
        throw DecantError(.damaged, "param_alignment_paddings are not lists of numbers")
      }
      alignmentPaddings = all.compactMap { $0 }
    } else {
      alignmentPaddings = nil
    }
  }

  /// Returns an integer, or that of a call of an enumeration's class; nil for other values.
  private static func number(_ value: PickleValue, _ graph: PickleGraph) -> Int? {
    if case .int(let number) = value { return Int(exactly: number) }
    guard let object = graph.object(value), let arguments = graph.tuple(object.arguments),
      arguments.count == 1, case .int(let number) = arguments[0]
    else { return nil }
    return Int(exactly: number)
  }
}
