import DecantGraphs
import DecantResNets
import TestSupport
import Testing

@Suite struct GraphTests {
  private func graph(_ name: String) throws -> Graph {
    try #require(ResNetArchitecture.named(name)).configuration.graph()
  }

  /// Compares the entries of `state_dict()` and the parameters with the counts that torchvision published.
  @Test(arguments: [
    ("resnet18", 122, 11_689_512), ("resnet34", 218, 21_797_672), ("resnet50", 320, 25_557_032),
    ("resnet101", 626, 44_549_160), ("resnet152", 932, 60_192_808), ("resnext50_32x4d", 320, 25_028_904),
    ("resnext101_32x8d", 626, 88_791_336), ("wide_resnet50_2", 320, 68_883_240),
    ("wide_resnet101_2", 626, 126_886_696), ("resnet50nodown", 320, 23_510_081),
  ])
  func countsAreTorchvisions(_ name: String, _ entries: Int, _ parameters: Int) throws {
    let all = try graph(name).parameters
    #expect(all.count == entries)
    #expect(all.filter { !$0.isBuffer }.reduce(0) { $0 + $1.shape.reduce(1, *) } == parameters)
  }

  @Test func namesAndOrderAreTorchvisions() throws {
    let names = try graph("resnet18").parameters.map(\.name)
    #expect(
      names.prefix(8) == [
        "conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var",
        "bn1.num_batches_tracked",
        "layer1.0.conv1.weight", "layer1.0.bn1.weight",
      ])
    let second = names.filter { $0.hasPrefix("layer2.0.") && ($0.hasSuffix("weight")) }
    #expect(
      second == [
        "layer2.0.conv1.weight", "layer2.0.bn1.weight", "layer2.0.conv2.weight", "layer2.0.bn2.weight",
        "layer2.0.downsample.0.weight", "layer2.0.downsample.1.weight",
      ])
    #expect(names.suffix(2) == ["fc.weight", "fc.bias"])
  }

  @Test func downsampleStandsWhereShapeChanges() throws {
    func downsampled(_ name: String) throws -> [String] {
      try graph(name).nodes.map(\.name).filter { $0.hasSuffix("downsample.0") }
    }
    #expect(try downsampled("resnet34") == ["layer2", "layer3", "layer4"].map { $0 + ".0.downsample.0" })
    #expect(
      try downsampled("resnet50") == ["layer1", "layer2", "layer3", "layer4"].map { $0 + ".0.downsample.0" })
  }

  @Test func strideOfABottleneckStandsOnIts3x3() throws {
    let nodes = try graph("resnext50_32x4d").nodes
    func convolution(_ name: String) throws -> Convolution {
      let node = try #require(nodes.first { $0.name == name })
      return try #require({ if case .conv(let convolution) = node.operation { convolution } else { nil } }())
    }
    #expect(try convolution("layer2.0.conv1").stride == 1)
    let middle = try convolution("layer2.0.conv2")
    #expect(middle.stride == 2 && middle.groups == 32 && middle.outputChannels == 256 && middle.padding == 1)
  }

  @Test func stride0SetsStemAndPool() throws {
    for (name, stride) in [("resnet50", 2), ("resnet50nodown", 1)] {
      let nodes = try graph(name).nodes
      guard case .conv(let stem) = nodes[0].operation, case .maxPool(let pool) = nodes[3].operation else {
        Issue.record("the graph does not begin with conv1, bn1, relu, maxpool")
        continue
      }
      #expect(stem.stride == stride && pool.stride == stride)
    }
  }

  @Test func stagesAndNodeNames() throws {
    let graph = try graph("resnet50")
    #expect(
      graph.stages.map(\.name) == [
        "stem", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "logits",
      ])
    #expect(Set(graph.nodes.map(\.name)).count == graph.nodes.count)
  }

  @Test func depthCountsWeightedLayers() {
    for (name, depth) in [("resnet18", 18), ("resnet34", 34), ("resnet50", 50), ("wide_resnet101_2", 101)] {
      #expect(ResNetArchitecture.named(name)?.configuration.depth == depth)
    }
  }
}
