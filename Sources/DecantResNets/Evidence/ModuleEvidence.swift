internal import DecantBytes
internal import DecantGraphs

/// Evidence about a network's geometry from module attributes, or from the literals of TorchScript calls.
///
/// The findings form a configuration. Every convolution is compared with the one that this configuration builds, so
/// every difference is reported.
struct ModuleEvidence {
  typealias Item = ResNetEvidence.Item
  typealias Tree = ModuleTree

  let tree: ModuleTree
  let layout: ModulePathMap
  let source: ResNetEvidence.Source
  private let place: String
  /// The configuration with the findings so far.
  var told: ResNetConfiguration
  private(set) var items: [Item] = []

  init(
    _ tree: ModuleTree, _ layout: ModulePathMap, _ source: ResNetEvidence.Source, place: String
  ) {
    self.tree = tree
    self.layout = layout
    self.source = source
    self.place = place
    told = layout.configuration
    readAntialiasing()
    readStem()
    readBlockStrides()
    readConvolutions()
    readNormalizations()
    readActivations()
    readDropout()
  }

  mutating func add(
    _ name: String, _ value: String, _ detail: String, _ setting: ResNetEvidence.Setting? = nil
  ) {
    items.append(Item(name, value, source, place: place, detail, setting: setting))
  }

  /// Adds a fact with its value in the configuration found so far.
  mutating func add(_ name: String, _ detail: String, _ setting: ResNetEvidence.Setting? = nil) {
    add(name, told.geometry.first { $0.name == name }?.value ?? "", detail, setting)
  }

  /// Returns a path relative to the network.
  func short(_ path: String) -> String { layout.relative(path) }

  func convolution(_ name: String) -> (path: String, stride: Tree.Size)? {
    guard let path = layout.paths[name], let stride = tree.size(path, "stride") else { return nil }
    return (path, stride)
  }

  // MARK: Blocks

  /// The strides of the convolutions in each stage's first block; nil when one is not known.
  private var firstBlocks: [(stage: Int, strides: [Int])]? {
    var found: [(stage: Int, strides: [Int])] = []
    for (index, stage) in told.stages.enumerated() {
      let strides = (1...stage.block.kernels.count).map {
        convolution("layer\(index + 1).0.conv\($0)")?.stride.both
      }
      guard !strides.contains(nil) else { return nil }
      found.append((index, strides.compactMap { $0 }))
    }
    return found
  }

  /// Returns the antialiasing filter of a stage's first block, which timm calls `aa` and CLIP `avgpool`.
  private func filter(ofStage stage: Int) -> (path: String, kind: String)? {
    guard let block = layout.blocks[stage].first else { return nil }
    var places = [Tree.join(block, "aa"), Tree.join(block, "avgpool")]
    for number in 1...told.stages[stage].block.kernels.count {
      let path = layout.paths["layer\(stage + 1).0.conv\(number)"] ?? ""
      if let dot = path.lastIndex(of: ".") { places.append(path[..<dot] + ".aa") }
    }
    for path in places { if let kind = tree.kind(path), kind != "Identity" { return (path, kind) } }
    return nil
  }

  private mutating func readAntialiasing() {
    guard let stage = told.stages.firstIndex(where: { $0.stride > 1 }), stage < layout.blocks.count else {
      return
    }
    if let (path, kind) = filter(ofStage: stage) {
      switch kind {
      case "AvgPool2d": told.antialiasing = .average
      case "BlurPool2d": told.antialiasing = .blur
      default: return add("antialiasing", kind, "\(short(path)) is \(kind)", .other)
      }
      add("antialiasing", "\(short(path)) is \(kind)", .antialiasing(told.antialiasing))
    } else if let first = firstBlocks?.first(where: { $0.strides.contains { $0 > 1 } }) {
      told.antialiasing = .none
      add("antialiasing", "layer\(first.stage + 1).0: the convolutions have the stride", .antialiasing(.none))
    }
  }

  /// Reads which convolution of each stage's first block has the stride, and how large the stride is.
  private mutating func readBlockStrides() {
    guard let blocks = firstBlocks else { return }
    func words(_ stage: Int, _ strides: [Int]) -> String {
      "layer\(stage + 1).0: strides \(strides.map(String.init).joined(separator: ", "))"
    }
    var first: (stage: Int, strides: [Int])?
    for (stage, strides) in blocks where strides.contains(where: { $0 != 1 }) {
      if first == nil { first = (stage, strides) }
      if let first,
        first.strides.firstIndex(where: { $0 != 1 }) != strides.firstIndex(where: { $0 != 1 })
          || strides.count(where: { $0 != 1 }) != 1
      {
        return add(
          "block_stride", "not alike", "\(words(first.stage, first.strides)); \(words(stage, strides))",
          .other)
      }
    }
    if let (stage, strides) = first {
      switch strides.firstIndex(where: { $0 != 1 }) {
      case 0?: told.blockStride = .first
      case 1?: told.blockStride = .second
      default: return add("block_stride", "elsewhere", words(stage, strides), .other)
      }
      add("block_stride", words(stage, strides), .blockStride(told.blockStride))
    } else if told.antialiasing != .none,
      let (path, _) = filter(ofStage: told.stages.firstIndex { $0.stride > 1 } ?? 0)
    {
      told.blockStride = .second
      add("block_stride", "\(short(path)) has it", .blockStride(.second))
    }
    readStageStrides(blocks)
  }

  private mutating func readStageStrides(_ blocks: [(stage: Int, strides: [Int])]) {
    for (stage, strides) in blocks {
      if told.antialiasing != .none, let (path, _) = filter(ofStage: stage) {
        guard let stride = tree.size(path, "stride")?.both, 1...16 ~= stride else { return }
        told.stages[stage].stride = stride
        continue
      }
      let product = strides.reduce(1) { $0.multipliedReportingOverflow(by: $1).partialValue }
      // A dilated stage keeps the stride of the shapes' configuration, which dilation then replaces.
      if product != 1 || !isDilated(stage) { told.stages[stage].stride = max(1, min(product, 16)) }
    }
    add(
      "stage_strides",
      told.antialiasing == .none ? "the first blocks' convolutions" : "the first blocks' filters",
      .stageStrides(told.stages.map(\.stride)))
  }

  private func isDilated(_ stage: Int) -> Bool {
    told.stages[stage].blocks.indices.contains { block in
      (1...told.stages[stage].block.kernels.count).contains { number in
        let path = layout.paths["layer\(stage + 1).\(block).conv\(number)"] ?? ""
        return (tree.size(path, "dilation")?.both ?? 1) != 1
      }
    }
  }

  // MARK: Convolutions

  /// Reads the dilation that replaces strides, then compares every convolution with the one that is built.
  private mutating func readConvolutions() {
    let known = layout.convolutions.count { tree.size($0.path, "stride") != nil }
    guard known == layout.convolutions.count, known > 0 else { return }
    let all = "all \(known) convolutions"
    guard let difference = difference(from: told) else {
      told.outputStride = nil
      add("output_stride", all, .outputStride(nil))
      return addStandardization(all)
    }
    for stride in [32, 16, 8, 4, 2, 1] {
      var dilated = told
      dilated.outputStride = stride
      guard self.difference(from: dilated) == nil else { continue }
      told = dilated
      add("output_stride", difference.detail, .outputStride(stride))
      return addStandardization(all)
    }
    add(difference.name, "others than usual", difference.detail, .other)
  }

  /// Returns the first attribute of a convolution that differs from a configuration's; nil when there is none.
  private func difference(from configuration: ResNetConfiguration) -> (name: String, detail: String)? {
    guard let graph = try? configuration.graph() else { return ("geometry", "no network is built of it") }
    for node in graph.nodes {
      guard case .conv(let built) = node.operation, let path = layout.paths[node.name] else { continue }
      func differs(_ attribute: String, _ expected: Int) -> String? {
        guard let found = tree.size(path, attribute), found.both != expected else { return nil }
        return "\(short(path)).\(attribute) \(found.words), built with \(expected)"
      }
      if let detail = differs("dilation", built.dilation) { return ("dilation", detail) }
      if let detail = differs("stride", built.stride) { return ("strides", detail) }
      if let detail = differs("groups", built.groups) { return ("groups", detail) }
      let padding = tree.size(path, "padding")
      // The padding "same" equals the built one for stride 1 and an odd kernel.
      let isSame = padding?.text == "same" && built.stride == 1 && built.kernel % 2 == 1
      if !isSame, let detail = differs("padding", built.padding) { return ("padding", detail) }
      if let mode = tree.value(path, "padding_mode")?.string, mode != "zeros" {
        return ("padding", "\(short(path)).padding_mode \(mode)")
      }
    }
    return nil
  }

  private mutating func addStandardization(_ all: String) {
    guard told.normalization == .group else { return }
    let kinds = Set(layout.convolutions.compactMap { tree.kind($0.path) })
    if kinds == ["Conv2d"] {
      told.hasStandardizedWeights = false
      add("weight_standardization", "\(all) are Conv2d", .hasStandardizedWeights(false))
    } else if kinds == ["StdConv2d"],
      layout.convolutions.allSatisfy({ tree.value($0.path, "eps")?.double == 1e-8 })
    {
      told.hasStandardizedWeights = true
      add("weight_standardization", "\(all) are StdConv2d", .hasStandardizedWeights(true))
    } else {
      add("weight_standardization", kinds.sorted().joined(separator: ", "), all, .other)
    }
  }
}
