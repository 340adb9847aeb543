package import DecantBytes
internal import DecantTensors

extension ResNetConfiguration {
  /// Infers a configuration from the names and shapes of a network's tensors.
  ///
  /// Properties that no shape shows are those of the first published network with these shapes, else the libraries'
  /// defaults. O(tensors).
  ///
  /// - Parameter naming: the network's tensors under canonical names.
  /// - Throws: ``DecantError`` that names the tensor that is missing or has an impossible shape. Only the tensors
  ///   needed here are checked: ``ResNetVerification`` compares all names and shapes.
  package init(shapesOf naming: ResNetTensorNameMap) throws(DecantError) {
    let reader = ShapeReader(tensors: naming.tensors)
    let stem = try reader.stem()
    self.init(stages: try reader.stages(stem: stem))
    self.stem = stem.stem
    inputChannels = stem.inputChannels
    if case .single(let kernel, _) = self.stem, kernel < 7 { (stride0, stemPooling) = (1, .none) }
    if reader.has("maxpool.0.weight") { stemPooling = .convolution }
    normalization = reader.normalization(isComputed: naming.dialect.hasFoldedNormalization)
    order = reader.order(stages)
    hasConvolutionBias = reader.has("layer1.0.conv1.bias")
    isQuantized = reader.has("layer1.0.conv1.zero_point")
    stemHasBias = !hasConvolutionBias && reader.has("conv1.bias")
    hasFinalNormalization = reader.has("norm.weight")
    lastConvolution = reader.shape("final_conv.conv.weight", rank: 4)?.first
    if reader.hasPooledShortcuts {
      shortcut = .pooledProjection
    } else if !naming.tensors.entries.contains(where: { $0.name.contains(".downsample.") }), stages.count > 1
    {
      shortcut = .padding
    }
    if shortcut == .projection, let projection = reader.projection {
      shortcutKernel = projection.kernel
      hasShortcutNormalization = order == .pre || normalization == .none || projection.isNormalized
      shortcutHasBias = !hasConvolutionBias && projection.hasBias
    }
    hasInnerAttention = reader.hasInnerAttention(stages)
    if naming.head.members.count > 1, let last = naming.head.members.last {
      (head, classes) = (.layers(naming.head.members.map(\.layer)), last.layer.outputs)
    } else if naming.head.unresolved.contains(naming.spelling(of: "fc.weight")) {
      // A fully connected layer that does not read the features is no head of theirs.
      (head, classes) = (.linear(), 0)
    } else {
      (head, classes) = try reader.head()
    }
    if case .attention = head { (stemPooling, antialiasing) = (.average, .average) }
    if let published = ResNetArchitecture.sharing(self, naming.dialect).first {
      let told = self
      self = published.configuration
      (head, classes) = (told.head, told.classes)
      if told.isQuantized { quantize() }
    }
    if naming.dialect.blockStride == .first { blockStride = .first }
  }
}

/// Infers the parts of a configuration from the names and shapes of a network's tensors.
private struct ShapeReader {
  let tensors: StateDict

  func has(_ name: String) -> Bool { tensors[name] != nil }

  /// Returns a tensor's shape if it has `rank` dimensions, each between 1 and 2²⁴; otherwise nil.
  func shape(_ name: String, rank: Int) -> [Int]? {
    guard let shape = tensors[name]?.shape, shape.count == rank, shape.allSatisfy({ 1...1 << 24 ~= $0 })
    else {
      return nil
    }
    return shape
  }

  private func convolution(_ name: String) throws(DecantError) -> [Int] {
    if let shape = shape(name, rank: 4) { return shape }
    throw DecantError.noResNet(
      tensors[name].map { "\(name) has shape \($0.shape), not the four dimensions of a convolution weight" }
        ?? "\(name) is missing")
  }

  func stem() throws(DecantError) -> (stem: ResNetStem, inputChannels: Int) {
    guard has("conv1.0.weight"), !has("conv1.weight") else {
      let first = try convolution("conv1.weight")
      return (.single(kernel: first[2], channels: first[0]), first[1])
    }
    var shapes: [[Int]] = []
    while shapes.count < 16, let shape = shape("conv1.\(3 * shapes.count).weight", rank: 4) {
      shapes.append(shape)
    }
    guard let first = shapes.first else {
      throw DecantError.noResNet("conv1.0.weight is missing or does not have four dimensions")
    }
    let bare = shapes.indices.dropLast().prefix { !has("conv1.\(3 * $0 + 1).weight") }
    return (.deep(shapes.map { $0[0] }, bare: bare.count), first[1])
  }

  func stages(stem: (stem: ResNetStem, inputChannels: Int)) throws(DecantError) -> [ResNetStage] {
    var stages: [ResNetStage] = []
    var channels = stem.stem.channels
    while stages.count < 16, has("layer\(stages.count + 1).0.conv1.weight") {
      let name = "layer\(stages.count + 1)"
      let stage = try stage(name, index: stages.count, inputChannels: channels)
      channels = stage.outputChannels
      stages.append(stage)
    }
    if has("layer\(stages.count + 1).0.conv1.weight") {
      throw DecantError.noResNet("it has more than 16 stages")
    }
    if stages.isEmpty { throw DecantError.noResNet("layer1.0.conv1.weight is missing") }
    return stages
  }

  private func stage(_ name: String, index: Int, inputChannels: Int) throws(DecantError) -> ResNetStage {
    var blocks: [[Int]] = []
    var first: [[Int]] = []
    while blocks.count <= ResNetConfiguration.mostBlocks, hasBlock(blocks.count, of: name) {
      // A block that is missing between others is like the one before it, so that it is reported as missing.
      if !has("\(name).\(blocks.count).conv1.weight"), let last = blocks.last {
        blocks.append(last)
        continue
      }
      var shapes: [[Int]] = []
      while shapes.count < 8, has("\(name).\(blocks.count).conv\(shapes.count + 1).weight") {
        shapes.append(try convolution("\(name).\(blocks.count).conv\(shapes.count + 1).weight"))
      }
      if blocks.isEmpty { first = shapes }
      // Convolutions that a later block lacks are like those of the block before it.
      blocks.append(shapes.map { $0[0] } + (blocks.last ?? []).dropFirst(shapes.count))
    }
    let kernels = first.map { $0[2] }
    guard let block = ResNetBlock(kernels: kernels) else {
      throw DecantError.noResNet(
        "the convolutions of \(name).0 have kernels of size \(kernels.map(String.init).joined(separator: ", ")), unlike any ResNet block"
      )
    }
    let wide = kernels.firstIndex { $0 > 1 } ?? 0
    let input = wide == 0 ? inputChannels : first[wide - 1][0]
    let projects = has("\(name).0.downsample.0.weight") || has("\(name).0.downsample.1.weight")
    let fits = inputChannels == blocks[0].last
    return ResNetStage(
      block, blocks: blocks, groups: max(1, input / first[wide][1]),
      stride: fits ? (projects ? 2 : 1) : (index == 0 ? 1 : 2), attention: attention("\(name).0.se"))
  }

  /// The largest number of consecutive blocks that may be missing between others.
  private static let mostMissing = 64

  /// Returns true when a stage has a block, or a later one not far behind.
  private func hasBlock(_ index: Int, of stage: String) -> Bool {
    let last = index == 0 ? 0 : Self.mostMissing
    return (0...last).contains { has("\(stage).\(index + $0).conv1.weight") }
  }

  private func attention(_ name: String) -> ResNetAttention? {
    if let squeezed = shape(name + ".fc1.weight", rank: 4) { return .squeezeExcitation(reduced: squeezed[0]) }
    if let context = shape(name + ".mlp_add.fc1.weight", rank: 4) {
      return .globalContext(reduced: context[0])
    }
    if let reduced = shape(name + ".conv1.conv.weight", rank: 4),
      let mixed = shape(name + ".ba.conv_p.weight", rank: 4)
    {
      return .bilinear(reduced: reduced[0], groups: mixed[1], block: mixed[2])
    }
    return shape(name + ".conv.weight", rank: 3).map { .efficient(kernel: $0[2]) }
  }

  /// Returns true when attention weights the input of a block's last convolution instead of its output.
  func hasInnerAttention(_ stages: [ResNetStage]) -> Bool {
    for (index, stage) in stages.enumerated() {
      let weights = ["fc1", "mlp_add.fc1", "conv1.conv"].lazy.compactMap { first in
        shape("layer\(index + 1).0.se.\(first).weight", rank: 4)
      }
      guard let weighed = weights.first?[1] else { continue }
      if weighed != stage.outputChannels { return weighed == stage.blocks[0].dropLast().last }
    }
    return false
  }

  /// True when shortcuts pool before they project: the convolution then has index 1 in `downsample`.
  var hasPooledShortcuts: Bool {
    (1...4).contains { shape("layer\($0).0.downsample.1.weight", rank: 4) != nil }
  }

  /// The first projection of a shortcut that does not pool; nil when there is none.
  var projection: (kernel: Int, isNormalized: Bool, hasBias: Bool)? {
    for number in 1...16 {
      let name = "layer\(number).0.downsample"
      guard let weight = shape("\(name).0.weight", rank: 4) else { continue }
      return (weight[2], has("\(name).1.weight"), has("\(name).0.bias"))
    }
    return nil
  }

  func normalization(isComputed: Bool) -> ResNetNormalization {
    let name = "layer1.0.bn1"
    guard has(name + ".weight") else { return .none }
    if has(name + ".running_var") { return .batch }
    if has(name + ".v") { return .evolved }
    if has(name + ".tau") { return .filterResponse }
    return isComputed ? .affine : .group
  }

  /// Returns the position of normalization: before a convolution if it has the size of its input, after it if that of
  /// its output.
  func order(_ stages: [ResNetStage]) -> ResNetOrder {
    for (index, stage) in stages.enumerated() {
      for number in 1...stage.block.kernels.count {
        let name = "layer\(index + 1).0"
        guard let weight = shape("\(name).conv\(number).weight", rank: 4),
          let size = shape("\(name).bn\(number).weight", rank: 1)?.first
        else { continue }
        let input = weight[1] * (stage.block.kernels[number - 1] > 1 ? stage.groups : 1)
        if input != weight[0] { return size == input ? .pre : .post }
      }
    }
    return has("layer1.0.bn1.weight") && !has("bn1.weight") ? .pre : .post
  }

  func head() throws(DecantError) -> (ResNetHead, classes: Int) {
    func outputs(_ name: String, rank: Int) throws(DecantError) -> Int {
      if let size = shape(name, rank: rank)?.first { return size }
      throw DecantError.noResNet(
        "\(name) has shape \(tensors[name]?.shape ?? []), not \(rank) dimensions")
    }
    if let tokens = shape("attnpool.positional_embedding", rank: 2)?.first {
      return (.attention(tokens: tokens), try outputs("attnpool.c_proj.weight", rank: 2))
    }
    if let hidden = shape("head.pre_logits.fc.weight", rank: 2)?.first {
      return (.normalizedPerceptron(hidden: hidden), try outputs("fc.weight", rank: 2))
    }
    // A backbone has no head.
    guard let found = tensors["fc.weight"] else { return (.linear(), 0) }
    if found.shape.count == 4 { return (.convolution, try outputs("fc.weight", rank: 4)) }
    return (.linear(hasBias: has("fc.bias")), try outputs("fc.weight", rank: 2))
  }
}
