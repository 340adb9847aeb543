import DecantBytes
import DecantGraphs
import DecantResNets
import DecantTensors
import Testing

/// Tests of evidence on inputs written here. Tests/Peers/test_evidence.py has inputs from real libraries.
@Suite struct EvidenceTests {
  private func naming(_ architecture: String, classes: Int? = nil, prefix: String = "") throws
    -> ResNetTensorNameMap
  {
    var configuration = try #require(ResNetArchitecture.named(architecture)).configuration
    if let classes { configuration.classes = classes }
    let weights = try SyntheticWeights.stateDict(configuration.graph(), seed: 1)
    return try .only(in: weights.renamed { prefix + $0 })
  }

  /// Returns the modules that torchvision would pickle for an architecture.
  private func modules(_ architecture: String, prefix: String = "") throws -> ModuleTree {
    let configuration = try #require(ResNetArchitecture.named(architecture)).configuration
    let kind = configuration.block == .bottleneck ? "Bottleneck" : "BasicBlock"
    var tree = ModuleTree()
    tree.classes[String(prefix.dropLast())] = "torchvision.models.resnet.ResNet"
    tree.classes[prefix + "maxpool"] = "torch.nn.modules.pooling.MaxPool2d"
    tree.classes[prefix + "relu"] = "torch.nn.modules.activation.ReLU"
    for (name, value) in [
      ("kernel_size", 3), ("stride", configuration.stride0), ("padding", 1), ("dilation", 1),
    ] {
      tree.values["\(prefix)maxpool.\(name)"] = .integer(Int64(value))
    }
    tree.values[prefix + "maxpool.ceil_mode"] = false
    for (stage, count) in configuration.layers.enumerated() {
      for block in 0..<count {
        tree.classes["\(prefix)layer\(stage + 1).\(block)"] = "torchvision.models.resnet.\(kind)"
      }
    }
    for node in try configuration.graph().nodes {
      switch node.operation {
      case .conv(let convolution):
        tree.classes[prefix + node.name] = "torch.nn.modules.conv.Conv2d"
        for (name, value) in [
          ("stride", convolution.stride), ("padding", convolution.padding),
          ("dilation", convolution.dilation),
        ] {
          tree.values["\(prefix)\(node.name).\(name).0"] = .integer(Int64(value))
          tree.values["\(prefix)\(node.name).\(name).1"] = .integer(Int64(value))
        }
        tree.values["\(prefix)\(node.name).groups"] = .integer(Int64(convolution.groups))
        tree.values["\(prefix)\(node.name).padding_mode"] = "zeros"
      case .batchNormalization(_, let epsilon):
        tree.classes[prefix + node.name] = "torch.nn.modules.batchnorm.BatchNorm2d"
        tree.values["\(prefix)\(node.name).eps"] = .number(epsilon)
      default: break
      }
    }
    return tree
  }

  private func evidence(_ naming: ResNetTensorNameMap, _ change: (inout ResNetEvidenceInputs) -> Void)
    -> ResNetEvidence
  {
    var traces = ResNetEvidenceInputs()
    change(&traces)
    return ResNetEvidence(traces, of: naming)
  }

  private func overrides(_ change: (inout ResNetOverrides) -> Void) -> ResNetOverrides {
    var overrides = ResNetOverrides()
    change(&overrides)
    return overrides
  }

  private let geometry = [
    "stride0", "block_stride", "max_pool", "epsilon", "shortcut", "antialiasing", "output_stride",
    "activation", "residual",
  ]

  // MARK: Attributes

  @Test(arguments: ["resnet18", "resnet50", "resnet50nodown", "resnext50_32x4d"], ["", "module.backbone."])
  func attributesProveANetwork(_ name: String, _ prefix: String) throws {
    let naming = try naming(name, prefix: prefix)
    let tree = try modules(name, prefix: prefix)
    let found = try ResNetIdentification(naming, evidence: evidence(naming) { $0.modules = tree })
    #expect(found.architecture == name && found.isProven && found.contradictions.isEmpty)
    #expect(found.undetermined.map(\.name) == ["preprocessing"])
    for name in geometry {
      #expect(found.facts.contains { $0.name == name && $0.kind == "attribute" }, "\(name)")
    }
  }

  @Test func attributesSettleWhatARunAssumes() throws {
    let naming = try naming("resnet50nodown")
    var tree = try modules("resnet50nodown")
    let found = try ResNetIdentification(naming, evidence: evidence(naming) { $0.modules = tree })
    #expect(found.configuration.stride0 == 1 && found.expectedArchitecture == "resnet50nodown")
    #expect(found.assumed.isEmpty && found.declared.isEmpty && found.warnings.isEmpty)
    #expect(Set(found.read.map(\.name)).isSuperset(of: geometry.dropLast()))
    let declared = try ResNetIdentification(
      naming, overrides { $0.stride0 = 2 }, evidence: evidence(naming) { $0.modules = tree })
    #expect(declared.configuration.stride0 == 2)
    #expect(
      declared.warnings == [
        .contradicted(
          .stride0, value: "2",
          evidence: "stride0 1 of module attributes: conv1.stride 1, maxpool.stride 1")
      ])
    let named = try ResNetIdentification(
      naming, overrides { $0.architecture = .named("resnet50") },
      evidence: evidence(naming) { $0.modules = tree })
    #expect(named.configuration.stride0 == 2 && named.warnings.count == 1)
    // Epsilons that differ reach the graph, one for each normalization layer.
    tree.values["layer1.0.bn2.eps"] = .number(0.5)
    let graph = try found.graph()
    let mixed = try ResNetIdentification(naming, evidence: evidence(naming) { $0.modules = tree }).graph()
    let epsilons = mixed.nodes.compactMap { node -> Double? in
      if case .batchNormalization(_, let epsilon) = node.operation { epsilon } else { nil }
    }
    #expect(epsilons.count { $0 == 0.5 } == 1 && epsilons.count { $0 == 1e-5 } == epsilons.count - 1)
    #expect(mixed.stages == graph.stages && mixed.parameters == graph.parameters)
  }

  @Test(arguments: [
    ("layer4.0.conv2.stride", 1, "strides"), ("layer4.0.conv3.stride", 2, "block_stride"),
    ("layer3.1.conv2.dilation", 2, "dilation"),
    ("layer2.0.downsample.0.stride", 1, "strides"), ("layer1.1.conv2.padding", 0, "padding"),
  ])
  func geometryBeyondAnyConfigurationIsRefused(_ attribute: String, _ value: Int64, _ name: String) throws {
    let naming = try naming("resnet50")
    var tree = try modules("resnet50")
    for side in 0...1 { tree.values["\(attribute).\(side)"] = .integer(value) }
    let found = try ResNetIdentification(naming, evidence: evidence(naming) { $0.modules = tree })
    #expect(found.architecture == nil && !found.isProven && found.sameShapes.contains("resnet50"))
    #expect {
      try found.graph()
    } throws: { error in
      let error = error as? DecantError
      return error?.code == .unsupportedNetwork && error?.reason.contains(" \(name) ") == true
        && error?.advice == .nameArchitecture
    }
    let declared = try ResNetIdentification(
      naming, overrides { $0.architecture = .named("resnet50") },
      evidence: evidence(naming) { $0.modules = tree })
    #expect(
      declared.warnings.contains { $0.description.hasPrefix("architecture resnet50 contradicts \(name) ") })
  }

  @Test func v1StandsOnTheFirstConvolution() throws {
    let naming = try naming("resnet50")
    var tree = try modules("resnet50")
    for stage in 2...4 {
      for side in 0...1 {
        tree.values["layer\(stage).0.conv1.stride.\(side)"] = 2
        tree.values["layer\(stage).0.conv2.stride.\(side)"] = 1
      }
    }
    let item = evidence(naming) { $0.modules = tree }.settled("block_stride")
    #expect(item?.value == "on the first 1×1 convolution (v1)" && item?.setting == .blockStride(.first))
  }

  @Test func classesThatAreNotKnownProveNothing() throws {
    let naming = try naming("resnet18")
    var tree = try modules("resnet18")
    tree.classes["layer3.1"] = "net.Block"
    #expect(evidence(naming) { $0.modules = tree }.settled("residual") == nil)
    tree = try modules("resnet18")
    tree.altered = ["layer1.0"]
    let found = evidence(naming) { $0.modules = tree }
    #expect(found.settled("residual") == nil && !found.isNetworkProven && found.settled("stride0") != nil)
  }

  // MARK: Code

  /// Tests forms of Python source that count as evidence, and forms that do not.
  @Test(arguments: [
    ("        out += identity\n        return self.relu(out)", true),
    ("        out = self.bn2(out)\n        out = out + identity\n", true),
    ("        return F.relu(out + self.shortcut(x))", true),
    ("        out += self.downsample(x)", true),
    ("        out += out", false), ("        out = identity + 1", false),
    ("        out = identity + self.bias", false), ("        out = self.bn2(out)  # out += identity", false),
    ("        out += self.conv3(x)", false), ("        identity += 1", false),
    ("        return self.relu(out)\n\n    def other(self, x):\n        x += identity", false),
  ])
  func sourcesOfBlocks(_ lines: String, _ adds: Bool) throws {
    let naming = try naming("resnet18")
    var tree = try modules("resnet18")
    for stage in 1...4 { for block in 0...1 { tree.classes["layer\(stage).\(block)"] = "net.Block" } }
    let source =
      "class Block(nn.Module):\n    def forward(self, x):\n        identity = x\n        out = self.conv1(x)\n\(lines)\n"
    let found = evidence(naming) {
      $0.modules = tree
      $0.sources = ["net.Block": source]
    }
    #expect((found.settled("residual")?.source == .code) == adds)
    #expect(found.isNetworkProven == adds)
  }

  private func script(_ kind: String, _ body: String) -> String {
    "class \(kind)(Module):\n  __parameters__ = []\n  def forward(self: __torch__.\(kind),\n    x: Tensor) -> Tensor:\n\(body)"
  }

  @Test func literalsOfTorchScript() throws {
    let naming = try naming("resnet18")
    var tree = ModuleTree()
    var code: [String: String] = [:]
    for node in try naming.graph().nodes {
      switch node.operation {
      case .conv(let convolution):
        let name = "__torch__.torch.nn.modules.conv.___torch_mangle_\(code.count).Conv2d"
        tree.classes[node.name] = name
        let (s, p) = (convolution.stride, convolution.padding)
        code[name] = script(
          "Conv2d",
          node.name == "conv1"
            ? "    input = torch._convolution(x, weight, None, [1, 1], [3, 3], [1, 1], False, [0, 0], 1, False, False, True, True)\n"
            : "    _1 = torch.conv2d(input, weight, bias, [\(s), \(s)], [\(p), \(p)], [1, 1])\n    return _1")
      case .batchNormalization:
        tree.classes[node.name] = "__torch__.torch.nn.modules.batchnorm.BatchNorm2d"
      default: break
      }
    }
    code["__torch__.torch.nn.modules.batchnorm.BatchNorm2d"] =
      "class BatchNorm2d(Module):\n  eps : Final[float] = 0.001\n  num_features : Final[int] = 64\n"
    for stage in 1...4 {
      for block in 0...1 { tree.classes["layer\(stage).\(block)"] = "__torch__.net.Block" }
    }
    code["__torch__.net.Block"] = script(
      "Block",
      "    out = (bn2).forward(y, )\n    downsample = self.downsample\n    identity = (downsample).forward(x, )\n    out0 = torch.add_(out, identity)\n    return (relu0).forward(out0, )"
    )
    tree.classes[""] = "__torch__.net.Net"
    code["__torch__.net.Net"] = script(
      "Net", "    x1 = torch.max_pool2d(x0, [3, 3], [1, 1], [1, 1], [1, 1])\n")
    let found = evidence(naming) {
      $0.modules = tree
      $0.script = code
    }
    #expect(found.settled("stride0")?.value == "1" && found.settled("epsilon")?.value == "0.001")
    #expect(found.settled("max_pool")?.value == "3×3, padding 1" && found.isNetworkProven)
    #expect(found.settled("shortcut")?.value == "added before the last ReLU")
    #expect(found.items.allSatisfy { $0.source == .code && $0.place == "TorchScript code" })

    // A computed argument is not a literal, and a block that adds something else has no shortcut.
    code["__torch__.net.Block"] = script("Block", "    out0 = torch.add_(out, self.offset)\n    return out0")
    code["__torch__.net.Net"] = script(
      "Net", "    x1 = torch.max_pool2d(x0, [3, 3], [stride, stride], [1, 1], [1, 1])\n")
    let less = evidence(naming) {
      $0.modules = tree
      $0.script = code
    }
    #expect(less.settled("residual") == nil && !less.isNetworkProven)
  }

  /// A network with the layers `fc` and `fc2`.
  private func headNaming() throws -> ResNetTensorNameMap {
    let own = try SyntheticWeights.stateDict(
      #require(ResNetArchitecture.named("resnet20")).configuration.graph(), seed: 1)
    let second = try Tensor([Float](repeating: 0, count: 50), shape: [5, 10])
    return try .only(in: StateDict(own.entries + [.init(name: "fc2.weight", tensor: second)]))
  }

  /// The end of `forward`, and the facts about functions between the layers and after them.
  private static let headCode: [(String, String?, String?)] = [
    ("    return (fc2).forward(torch.relu_((fc).forward(y, )), )", "relu", nil),
    (
      "    z = (fc2).forward((fc).forward(torch.flatten(y, 1), ), )\n    return torch.softmax(z, 1)",
      "none", "Softmax"
    ),
    (
      "    _0 = __torch__.torch.nn.functional.leaky_relu\n    z = _0((fc).forward(y, ), 0.2, False, )\n    return torch.sigmoid((fc2).forward(z, ))",
      "LeakyReLU (slope 0.2)", "Sigmoid"
    ),
    ("    return (fc2).forward(torch.gelu((fc).forward(y, ), approximate=\"tanh\"), )", "GELU (tanh)", nil),
    (
      "    return (fc2).forward(torch.dropout(torch.tanh(torch.relu((fc).forward(y, ))), 0.5, False), )",
      "ReLU then Tanh", nil
    ),
    (
      "    return (fc2).forward(torch.mish((fc).forward(y, )), )",
      "the head applies mish between its layers", nil
    ),
    (
      "    return torch.mul((fc2).forward((fc).forward(y, ), ), 2)", "none",
      "the head applies mul to the logits"
    ),
    (
      "    return torch.softmax((fc2).forward((fc).forward(y, ), ), 0)", "none",
      "the head applies softmax to the logits"
    ),
    (
      "    z = (fc).forward(y, )\n    if flag:\n      z = torch.relu(z)\n    else:\n      pass\n    return (fc2).forward(z, )",
      nil, nil
    ),
    ("    return ((fc2).forward((fc).forward(y, ), ), y)", nil, nil),
    ("    return (fc).forward((fc2).forward(y, ), )", nil, nil), ("    return z", nil, nil),
    ("    return (fc2).forward((fc).forward(y, )", nil, nil),
    ("    a = b\n    b = a\n    return a", nil, nil),
    ("", nil, nil),
  ]

  /// Reads the functions around a head's layers from the code of `forward`; nil for code that cannot be followed.
  @Test(arguments: headCode)
  func functionsAroundAHead(_ lines: String, _ between: String?, _ after: String?) throws {
    var tree = ModuleTree()
    tree.classes = ["": "__torch__.net.Net", "fc": "__torch__.Linear", "fc2": "__torch__.Linear"]
    let body =
      "    fc = self.fc\n    fc2 = self.fc2\n    y = torch.flatten(torch.adaptive_avg_pool2d(x, [1, 1]), 1)\n\(lines)\n"
    let found = evidence(try headNaming()) {
      $0.modules = tree
      $0.script = ["__torch__.net.Net": script("Net", body)]
    }
    #expect(found.settled("head_activation")?.value == between)
    #expect(found.settled("output_activation")?.value == after)
    #expect(found.isOutputOpen == (between == nil))
  }

  /// The children of a Sequential run in the file's order, whatever their names.
  @Test func functionsInASequential() throws {
    let own = try SyntheticWeights.stateDict(
      #require(ResNetArchitecture.named("resnet20")).configuration.graph(), seed: 1)
    func matrix(_ name: String, _ rows: Int, _ columns: Int) throws -> StateDict.Entry {
      .init(
        name: name, tensor: try Tensor([Float](repeating: 0, count: rows * columns), shape: [rows, columns]))
    }
    let naming = try ResNetTensorNameMap.only(
      in: StateDict(
        own.entries.filter { !$0.name.hasPrefix("fc.") } + [
          matrix("fc.one.weight", 8, 64), matrix("fc.two.out.weight", 3, 8),
        ]))
    var tree = ModuleTree()
    for (path, kind) in [
      ("", "net.Net"), ("fc", "container.Sequential"), ("fc.first", "activation.Tanh"),
      ("fc.one", "linear.Linear"),
      ("fc.two", "container.Sequential"), ("fc.two.z", "activation.ReLU6"), ("fc.two.a", "dropout.Dropout"),
      ("fc.two.out", "linear.Linear"), ("fc.last", "activation.LogSoftmax"),
    ] {
      tree.classes[path] = "torch.nn.modules." + kind
      tree.order.append(path)
    }
    let found = evidence(naming) { $0.modules = tree }
    #expect(found.settled("head_input")?.setting == .headInput([.tanh]))
    #expect(found.settled("head_activation")?.setting == .headActivations([[.relu6]]))
    #expect(found.settled("output_activation")?.setting == .outputFunctions([.logSoftmax]))
    // A module with a hook or another class runs other code.
    for (path, kind) in [("fc.two.z", "activation.Mish"), ("fc.one", "net.Cosine")] {
      var other = tree
      other.classes[path] = "torch.nn.modules." + kind
      #expect(evidence(naming) { $0.modules = other }.items.contains { $0.setting == .otherHead })
    }
    tree.altered = ["fc"]
    #expect(evidence(naming) { $0.modules = tree }.settled("head_activation") == nil)
  }

  // MARK: Configurations

  @Test func settingsOfLines() throws {
    let settings = try #require(
      ResNetEvidenceInputs.settings(
        inLines:
          "# text\narch: res50nodown\nsize: [3, 224] # pixels\nrate: 1e-3\nnested:\n  arch: no\nlast: null\n")
    )
    #expect(settings["arch"]?.string == "res50nodown" && settings["size"] == [3, 224])
    #expect(settings["rate"] == .number(1e-3) && settings["last"] == .null && settings["nested"] == nil)
    for text in ["", "a sentence\n", "key with spaces: 1\n", "{\"arch\": 1}\n", "# only this\n"] {
      #expect(ResNetEvidenceInputs.settings(inLines: text) == nil, "\(text)")
    }
    // A value nested too deeply is read as text.
    let deep = "a: " + String(repeating: "[", count: 10_000) + "\n"
    #expect(ResNetEvidenceInputs.settings(inLines: deep)?["a"]?.string?.count == 10_000)
  }

  @Test(arguments: [
    ("resnet50", "resnet50"), ("ResNet-50", "resnet50"), ("timm/resnet50d.a1_in1k", "resnet50d"),
    ("res50nodown", "resnet50nodown"), ("microsoft/resnet-18", "resnet18"),
    ("wide_resnet50_2", "wide_resnet50_2"),
    ("tv_resnet101", "resnet101"), ("resnet51", nil), ("vgg16", nil), ("", nil), ("res", nil),
  ])
  func namesThatConfigurationsGive(_ spelled: String, _ name: String?) throws {
    let naming = try naming(name ?? "resnet50")
    let found = evidence(naming) {
      $0.configurations = [("config.json", .object([(key: "arch", value: .string(spelled))]))]
    }
    #expect(found.settled("architecture")?.value == name ?? (spelled.isEmpty ? nil : spelled))
    #expect(found.settled("architecture")?.setting == name.map { .architecture($0) })
    // A name implies only the facts that distinguish it from other networks with its shapes.
    #expect((found.settled("stride0") != nil) == ["resnet50", "resnet50nodown"].contains(name))
  }

  @Test func contradictionsKeepEveryClaim() throws {
    let naming = try naming("resnet50")
    let tree = try modules("resnet50")
    let found = try ResNetIdentification(
      naming,
      evidence: evidence(naming) {
        $0.modules = tree
        $0.configurations = [("args", ["arch": "resnet50nodown"]), ("config.json", ["arch": "resnet34"])]
        $0.fileName = "resnet101.pth"
      })
    #expect(
      found.architecture == "resnet50" && found.contradictions.map(\.name) == ["stride0", "architecture"])
    #expect(found.contradictions[0].claims.map(\.value) == ["2", "1"])
    #expect(
      found.contradictions[1].claims.map(\.source) == [
        "names and shapes", "args: arch resnet50nodown", "config.json: arch resnet34",
        "file name (weak): resnet101.pth",
      ])
  }

  @Test func weakSourcesSettleNothing() throws {
    let naming = try naming("resnet50", classes: 1)
    let list = ["", "conv1", "bn1", "relu", "maxpool", "dropout", "fc"].map {
      (path: $0, version: Int?.some(1))
    }
    let found = evidence(naming) {
      $0.moduleVersions = list
      $0.fileName = "resnet50nodown.pth"
    }
    #expect(found.items.map(\.source) == [.moduleList, .fileName, .fileName])
    #expect(found.settled("stride0") == nil && found.settled("architecture") == nil)
    #expect {
      try ResNetIdentification(naming, evidence: found).graph()
    } throws: {
      ($0 as? DecantError)?.code == .undetermined
    }
  }

  @Test(arguments: [
    ("fcn_resnet50_coco.pth", ["resnet50"]), ("my-resnet50nodown-v2.pth", ["resnet50nodown", "1"]),
    ("iresnet18.pth", []), ("resnet50nodownsample.pth", []), ("nodown.pth", ["1"]),
  ])
  func onlyWholeWordsOfAFileNameHint(_ name: String, _ containerMetadata: [String]) throws {
    #expect(evidence(try naming("resnet18")) { $0.fileName = name }.items.map(\.value) == containerMetadata)
  }

  @Test func frozenFormatsOfDetectron2() throws {
    let configuration = try #require(ResNetArchitecture.named("resnet50")).configuration
    let detectron = try #require(ResNetDialect.all.first { $0.name == "detectron2" })
    let weights = try SyntheticWeights.stateDict(configuration.graph(), seed: 1).renamed { name in
      name.hasSuffix("num_batches_tracked") ? nil : detectron.spelling(of: name)
    }
    for (dialect, version, value) in [(true, 2, "0"), (true, 1, "0"), (true, 3, nil), (false, 1, nil)] {
      let named = dialect ? weights : try weights.renamed { detectron.canonicalName(of: Substring($0)) }
      let naming = try ResNetTensorNameMap.only(in: named)
      let paths = Set(named.names.map { $0.split(separator: ".").dropLast().joined(separator: ".") })
      let found = evidence(naming) { $0.moduleVersions = paths.sorted().map { ($0, version) } }
      #expect(found.settled("epsilon")?.value == value)
    }
  }
}

extension ResNetTensorNameMap {
  fileprivate func graph() throws -> Graph { try ResNetConfiguration(shapesOf: self).graph() }
}
