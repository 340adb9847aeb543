internal import DecantTensors

/// Names put together from parts: the names of a stem, of the blocks' places, and of the layers of a block.
///
/// Authors who write their own ResNet choose each part from a few habits, so parts cover more networks than whole
/// dialects. A shortcut and a head may have any name: shapes show them. These dialects are only read.
///
/// Source: networks for CIFAR in public tutorials, d2l.ai, continual-learning and self-supervised training code.
enum ComposedNames {
  /// The names of a stem's convolution and normalization.
  static let stems: [(convolution: String, normalization: String)] =
    [
      ("conv1", "bn1"), ("conv1", "batch_norm1"), ("conv1", "batchnorm1"), ("conv1", "conv1.bn"),
      ("conv", "bn"), ("conv_1", "bn_1"), ("conv0", "bn0"), ("conv1", "norm1"),
      ("conv", "norm"), ("conv1", "gn1"), ("init_conv", "init_bn"), ("conv_in", "bn_in"),
      ("in_conv", "in_bn"),
      ("conv_init", "bn_init"), ("first_conv", "first_bn"),
    ]
    + [
      "", "0.", "conv.", "conv0.", "conv1.", "conv_1.", "conv_in.", "layer0.", "layer1.", "layer_0.",
      "encoder0.",
      "block0.", "stage0.", "stem.", "pre.", "prep.", "initial.", "init.", "init_conv.", "first.",
      "first_conv.",
      "input.", "input_layer.", "in_conv.", "entry.", "gate.", "b1.", "features.",
    ].map { ($0 + "0", $0 + "1") }
    + ["layer0.", "layer1.", "stem.", "gate.", "input_layer."].flatMap { module in
      [("conv1", "bn1"), ("conv", "bn"), ("conv", "norm")].map { (module + $0.0, module + $0.1) }
    } + [("conv1.conv", "conv1.bn"), ("conv1.conv", "conv1.norm"), ("conv1.conv2d", "conv1.bn")]

  /// The paths of blocks: each is the path in the first stage, and in the others. `{s}` is the stage, from 1; `{b}` the
  /// block, from 0.
  static let places: [(first: String, others: String)] =
    [
      "layer{s}.{b}", "layer_{s}.{b}", "layer{s+1}.{b}", "layer{s-1}.{b}", "stage{s}.{b}", "stage_{s}.{b}",
      "stage{s+1}.{b}", "conv{s+1}_x.{b}", "conv{s+1}.{b}", "conv_{s+1}.{b}", "res{s}.{b}", "res{s+1}.{b}",
      "block{s}.{b}", "block_{s}.{b}", "group{s}.{b}", "encoder{s}.{b}", "resnet_block{s}.{b}", "b{s+1}.{b}",
      "layers.{s-1}.{b}", "stages.{s-1}.{b}", "blocks.{s-1}.{b}", "groups.{s-1}.{b}", "{s}.{b}", "{s+1}.{b}",
      "{s+2}.{b}", "{s+3}.{b}", "layer{s}.blocks.{b}", "stage{s}.blocks.{b}", "layer{s}.layers.{b}",
      "layers.{s-1}.blocks.{b}", "stages.{s-1}.blocks.{b}", "layer{s}.layer.{b}", "block{s}.layer.{b}",
    ].map { ($0, $0) }
    + ["layer{s}", "encoder{s}", "conv{s+1}_x", "conv{s+1}", "stage{s}"].map { stage in
      // The first stage's Sequential begins with the max pool.
      (stage.replacing("{s+1}", with: "2").replacing("{s}", with: "1") + ".1.{b}", stage + ".{b}")
    }

  /// The paths of the stages in networks with three stages of 2n layers each.
  static let stagesOfLayers = ["layers_2n", "layers_4n", "layers_6n"]

  /// The paths of blocks that are numbered through the network; `{b}` is the number, from 0. Where a stage begins, shapes
  /// show.
  static let numberedPlaces =
    ["layer", "block", "res", "resblock", "res_block", "residual", "residual_block", "rb"].flatMap { name in
      ["{b}", "{b+1}", "{b+2}"].map { name + $0 }
    } + [
      "layers.{b}", "blocks.{b}", "res_blocks.{b}", "resblocks.{b}", "residual_blocks.{b}",
      "residual_layers.{b}",
    ]

  /// The names of a block's convolutions and normalizations, for the first, second, third and fourth of each.
  static let layers: [(convolutions: [String], normalizations: [String])] =
    [
      ("conv{i}", "bn{i}"), ("conv_{i}", "bn_{i}"), ("conv{i}", "norm{i}"), ("conv{i}", "gn{i}"),
      ("conv{i}", "batchnorm{i}"), ("conv{i}", "batch_norm{i}"), ("conv{i}.0", "conv{i}.1"),
      // Quantisation-aware training keeps a convolution's norm inside it.
      ("conv{i}", "conv{i}.bn"), ("conv{i}.conv", "conv{i}.bn"), ("conv{i}.conv", "conv{i}.norm"),
      ("convs.{j}", "bns.{j}"),
    ].map { convolution, normalization in
      func all(_ pattern: String) -> [String] {
        (1...4).map { pattern.replacing("{i}", with: "\($0)").replacing("{j}", with: "\($0 - 1)") }
      }
      return (all(convolution), all(normalization))
    }
    + [
      "left", "residual_function", "residual", "residual_block", "block", "conv", "conv_cell", "conv_block",
      "convs",
      "layer", "layers", "features", "main", "main_path", "main_branch", "net", "body", "branch", "seq",
      "sequential",
      "double_conv", "model", "basic", "bottleneck", "f",
    ].map { container in
      ((0...3).map { "\(container).\(3 * $0)" }, (0...3).map { "\(container).\(3 * $0 + 1)" })
    }

  /// The stems' convolution weights, by which networks are found.
  private static let stemWeights = stems.map { Array("\($0.convolution).weight".utf8) }

  /// The paths of blocks: the rows' stages with their paths, and whether blocks are numbered through the network.
  private static let paths: [(stages: [(canonical: String, path: String)], isNumbered: Bool)] =
    places.map { first, others in
      (
        first == others ? [("layer{s}.{b}", first)] : [("layer1.{b}", first), ("layer{s}.{b}", others)], false
      )
    } + [
      (
        stagesOfLayers.enumerated().map { ("layer\($0.offset + 1).{b}", "\($0.element).{b}") }, false
      )
    ] + numberedPlaces.map { ([("layer1.{b}", $0)], true) }

  /// The path of the first block of every entry of ``paths``.
  private static let firstBlocks = paths.map { Array(firstBlock($0.stages[0].path).utf8) }

  /// The name of the first convolution's weight in a block, for every entry of ``layers``.
  private static let firstWeights = layers.map { Array(".\($0.convolutions[0]).weight".utf8) }

  /// Returns the path of the first block of the first stage.
  private static func firstBlock(_ path: String) -> String {
    let pattern = NamePattern(path)
    return NamePattern("{s}.{b}").binding(of: "1.0"[...].utf8).flatMap { pattern.name($0) } ?? path
  }

  /// The first blocks of a state dict, by the prefix of their paths: the index of a path and of a block's layers.
  struct FirstBlocks {
    private var found: [String: [(path: Int, layers: Int)]] = [:]

    /// Finds every name of a first block's first convolution. O(tensors × parts).
    init(in stateDict: StateDict) {
      for entry in stateDict.entries where entry.tensor.shape.count == 4 {
        for (layers, weight) in firstWeights.enumerated() where entry.name.utf8.ends(with: weight) {
          let block = entry.name.utf8.dropLast(weight.count)
          for (path, first) in firstBlocks.enumerated() where block.ends(with: first) {
            let prefix = String(Substring(block.dropLast(first.count)))
            if prefix.isEmpty || prefix.hasSuffix(".") { found[prefix, default: []].append((path, layers)) }
          }
        }
      }
    }

    /// Returns the dialects in which a name is a stem after some prefix, and a first block has the same prefix.
    func dialects(ofStem name: String) -> [(dialect: ResNetDialect, prefix: String)] {
      guard !found.isEmpty else { return [] }
      var dialects: [(dialect: ResNetDialect, prefix: String)] = []
      for (stem, weight) in zip(stems, stemWeights) where name.utf8.ends(with: weight) {
        let prefix = String(Substring(name.utf8.dropLast(weight.count)))
        for (path, layers) in found[prefix] ?? [] {
          dialects.append((dialect(stem, paths[path], ComposedNames.layers[layers]), prefix))
        }
      }
      return dialects
    }
  }

  /// Returns true for a path whose numbers may be those of a network without its first stage or block. Names such as
  /// `conv2_x` begin with 2 in the paper.
  private static func isShifted(_ path: String) -> Bool {
    path.contains("{b+2}") || path.contains("{s+") && !path.hasPrefix("conv") && !path.hasPrefix("b{")
  }

  private static func dialect(
    _ stem: (convolution: String, normalization: String),
    _ path: (stages: [(canonical: String, path: String)], isNumbered: Bool),
    _ layers: (convolutions: [String], normalizations: [String])
  ) -> ResNetDialect {
    var rows: ResNetDialect.Names = [
      ("conv1.*", stem.convolution + ".*"), ("bn1.*", stem.normalization + ".*"),
    ]
    for (stage, path) in path.stages {
      for (index, (convolution, normalization)) in zip(layers.convolutions, layers.normalizations)
        .enumerated()
      {
        rows.append(("\(stage).conv\(index + 1).*", "\(path).\(convolution).*"))
        rows.append(("\(stage).bn\(index + 1).*", "\(path).\(normalization).*"))
      }
    }
    let block = firstBlock(path.stages[0].path)
    var dialect = ResNetDialect(
      "stem \(stem.convolution), blocks \(block).\(layers.convolutions[0])",
      "names put together from parts", rows)
    dialect.blocks = Blocks(
      firstConvolution: layers.convolutions[0], isNumbered: path.isNumbered,
      isShifted: isShifted(path.stages[0].path))
    return dialect
  }

  /// The names of blocks in which shortcuts, and perhaps stages, are found by their shapes.
  struct Blocks: Sendable, Equatable {
    /// The name of a block's first convolution in its block.
    let firstConvolution: String
    /// True when blocks are numbered through the network, so that shapes show where a stage begins.
    let isNumbered: Bool
    /// True when stages or blocks are counted from a larger number than the first.
    let isShifted: Bool

    /// True when a network with these names may be a ResNet though no shortcut has a convolution.
    var isUsualWithoutProjections: Bool { !isNumbered && firstConvolution.hasPrefix("conv") && !isSequential }
    private var isSequential: Bool { firstConvolution.hasSuffix(".0") && firstConvolution != "conv1.0" }

    /// A block of the network: its path in the file, and its tensors.
    private struct Block {
      var path = ""
      /// The indices of its convolutions' weights, by number from 1.
      var convolutions: [Int: Int] = [:]
      /// The indices of the tensors that no row names.
      var others: [Int] = []
      var projection: Int?
    }

    /// Names the shortcuts of the blocks, and the stages where blocks are numbered. O(tensors).
    ///
    /// A block's shortcut is the only convolution in it that no row names, with the only normalization that no row
    /// names. In a block of two 3×3 convolutions, or of a bottleneck, a further 1×1 convolution is its shortcut too
    /// (d2l.ai's `conv3`).
    func completed(
      _ entries: [ResNetTensorNameMap.Entry], prefix: String
    ) -> [ResNetTensorNameMap.Entry] {
      var names = entries.map(\.canonical)
      var blocks: [String: Block] = [:]
      var paths: [String: String] = [:]
      for (index, entry) in entries.enumerated() {
        guard let (block, number) = Self.convolution(entry.canonical) else { continue }
        blocks[block, default: Block()].convolutions[number] = index
        let ending = ".\(firstConvolution).weight"
        if number == 1, entry.name.hasSuffix(ending) {
          let path = String(entry.name.dropLast(ending.count))
          blocks[block]?.path = path
          paths[path] = block
        }
      }
      for (index, entry) in entries.enumerated() where entry.canonical == nil {
        var path = entry.name[...]
        while let dot = path.lastIndex(of: ".") {
          path = path[..<dot]
          if let block = paths[String(path)] {
            blocks[block]?.others.append(index)
            break
          }
        }
      }
      for (name, block) in blocks {
        blocks[name]?.projection = nameShortcut(of: name, block, entries, &names)
      }
      if isNumbered { nameStages(blocks, entries, &names) }
      return zip(entries, names).map {
        ResNetTensorNameMap.Entry(name: $0.name, canonical: $1, tensor: $0.tensor)
      }
    }

    /// Returns the block and number of a convolution's weight with a canonical name: `layer1.0` and 2.
    private static func convolution(_ canonical: String?) -> (block: String, number: Int)? {
      guard let steps = canonical?.split(separator: "."), steps.count == 4, steps[3] == "weight",
        steps[2].hasPrefix("conv"), let number = Int(steps[2].dropFirst(4))
      else { return nil }
      return ("\(steps[0]).\(steps[1])", number)
    }

    /// Names a block's shortcut, and returns the index of its convolution's weight; nil when there is none.
    private func nameShortcut(
      of name: String, _ block: Block, _ entries: [ResNetTensorNameMap.Entry], _ names: inout [String?]
    ) -> Int? {
      let weights = block.others.filter { entries[$0].tensor.shape.count == 4 }
      if weights.count == 1, let weight = weights.first {
        let vectors = block.others.filter { entries[$0].tensor.shape.count == 1 }
        let own = Self.module(entries[weight].name)
        let norms = Set(vectors.map { Self.module(entries[$0].name) }).subtracting([own])
        let last = block.convolutions.max { $0.key < $1.key }.map { entries[$0.value].tensor.shape }
        guard norms.count <= 1, entries[weight].name.hasSuffix(".weight"),
          entries[weight].tensor.shape.first == last?.first
        else { return nil }
        for index in block.others {
          let module = Self.module(entries[index].name)
          let leaf = entries[index].name.dropFirst(module.count + 1)
          if module == own { names[index] = "\(name).downsample.0.\(leaf)" }
          if norms.contains(module) { names[index] = "\(name).downsample.1.\(leaf)" }
        }
        return weight
      }
      // A numbered convolution that is not one of the block's.
      let numbers = block.convolutions.keys.sorted()
      let kernels = numbers.compactMap { number -> Int? in
        let shape = block.convolutions[number].map { entries[$0].tensor.shape } ?? []
        return shape.count == 4 ? shape[2] : nil
      }
      guard weights.isEmpty, let last = numbers.last, kernels.last == 1, ResNetBlock(kernels: kernels) == nil,
        ResNetBlock(kernels: kernels.dropLast()) != nil
      else { return nil }
      for index in names.indices {
        for (layer, shortcut) in [("conv", 0), ("bn", 1)] {
          let own = "\(name).\(layer)\(last)."
          if let canonical = names[index], canonical.hasPrefix(own) {
            names[index] = "\(name).downsample.\(shortcut).\(canonical.dropFirst(own.count))"
          }
        }
      }
      return block.convolutions[last]
    }

    private static func module(_ name: String) -> String {
      String(name[..<(name.lastIndex(of: ".") ?? name.startIndex)])
    }

    /// Gives numbered blocks their stages: a stage begins at a block that projects or changes the channels.
    private func nameStages(
      _ blocks: [String: Block], _ entries: [ResNetTensorNameMap.Entry], _ names: inout [String?]
    ) {
      var places: [String: String] = [:]
      var (stage, place, channels) = (0, 0, 0)
      var number = 0
      while let block = blocks["layer1.\(number)"] {
        let last = block.convolutions.filter { $0.value != block.projection }.max { $0.key < $1.key }?.value
        let outputs = last.flatMap { entries[$0].tensor.shape.first } ?? 0
        if number == 0 || block.projection != nil || outputs != channels {
          (stage, place) = (stage + 1, 0)
        } else {
          place += 1
        }
        channels = outputs
        places["layer1.\(number)"] = "layer\(stage).\(place)"
        number += 1
      }
      for index in names.indices {
        guard let name = names[index], name.hasPrefix("layer1.") else { continue }
        let block = name.split(separator: ".").prefix(2).joined(separator: ".")
        if let place = places[block] { names[index] = place + name.dropFirst(block.count) }
      }
    }
  }
}

extension BidirectionalCollection<UInt8> {
  /// Returns true when the bytes end with others.
  fileprivate func ends(with ending: [UInt8]) -> Bool {
    count >= ending.count && suffix(ending.count).elementsEqual(ending)
  }
}
