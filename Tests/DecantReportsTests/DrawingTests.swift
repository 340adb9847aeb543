import DecantGraphs
import DecantReports
import DecantResNets
import Testing

@Suite struct DrawingTests {
  private func diagram(_ name: String, size: Int = 224) throws -> NetworkDiagram {
    let graph = try #require(ResNetArchitecture.named(name)).configuration.graph()
    let costs = try #require(graph.costs(height: size, width: size))
    return try #require(NetworkDiagram(graph, costs: costs, height: size, width: size))
  }

  @Test func bottlenecks() throws {
    let diagram = try diagram("resnet50")
    #expect(diagram.panels.map(\.name) == ["stem", "layer1", "layer2", "layer3", "layer4", "head"])
    #expect(diagram.panels.map(\.blockCount) == [0, 3, 4, 6, 3, 0] && diagram.mostChannels == 2048)
    guard case .blocks(let blocks) = diagram.panels[2].content else { return }
    #expect(blocks.map(\.count) == [1, 3])
    #expect(blocks[0].layers.map(\.text) == ["1×1", "3×3, stride 2", "1×1"])
    #expect(blocks[0].layers.map(\.output.channels) == [128, 128, 512])
    #expect(blocks[0].shortcut == .downsample(["1×1, stride 2"]) && blocks[1].shortcut == .identity)
    #expect(diagram.panels[2].input.text == "256×56×56" && diagram.panels[2].output.text == "512×28×28")
  }

  /// Without a stride in the stem, layer1 has the full resolution.
  @Test func nodown() throws {
    let panels = try diagram("resnet50nodown").panels
    #expect(panels[1].input.text == "64×224×224" && panels.last?.output.text == "1")
  }

  @Test func otherShortcuts() throws {
    guard case .blocks(let pooled) = try diagram("resnet50d").panels[2].content else { return }
    #expect(pooled[0].shortcut == .downsample(["average pool 2×2, stride 2", "1×1"]))
    guard case .blocks(let grouped) = try diagram("resnext50_32x4d").panels[1].content else { return }
    #expect(grouped[0].layers[1].text == "3×3, 32 groups")
  }

  /// Every network of the catalogue can be drawn, the same way each time, as sound markup.
  @Test(arguments: ResNetArchitecture.all.map(\.name)) func everyNetwork(name: String) throws {
    let diagram = try diagram(name)
    let text = diagram.svg(title: name).text
    #expect(text == (try self.diagram(name)).svg(title: name).text)
    let reader = try MarkupReader(text)
    #expect(reader.all("svg").count == 1 && reader.all("title").first?.text == name)
    #expect(reader.all("g").count == diagram.panels.count)
    #expect(!text.contains("nan") && !text.contains("inf\""))
    #expect(diagram.dot(title: name) == (try self.diagram(name)).dot(title: name))
  }

  @Test func graphviz() throws {
    let text = try diagram("resnet18", size: 64).dot(title: "a \"b\" \\ <c>\n.pth")
    let lines = text.split(separator: "\n").map(String.init)
    #expect(lines[0] == "digraph network {" && lines.last == "}")
    #expect(lines[1].hasPrefix(#"  graph [label="a \"b\" \\\\ <c>\\n.pth", "#))
    #expect(lines.contains(#"    n0 [label="input\n3×64×64"];"#))
    #expect(lines.contains("  subgraph cluster_3 {"))
    #expect(lines.contains(#"  n5 -> n8 [style=bold, label="downsample: 1×1, stride 2"];"#))
    #expect(lines.contains("  n2 -> n5 [style=dashed];"))
  }

  @Test func mermaid() throws {
    let text = try diagram("resnet18", size: 64).mermaid(title: "a\nb")
    let lines = text.split(separator: "\n").map(String.init)
    #expect(lines[0] == #"%% a\nb"# && lines[1] == "flowchart TB")
    #expect(lines.contains(#"    n1["conv1<br/>7×7, stride 2<br/>64×32×32"]"#))
    #expect(lines.contains(#"  subgraph g3["layer1.0–1 (2 blocks)"]"#))
    #expect(lines.contains(#"  n5 ==>|"downsample: 1×1, stride 2"| n8"#))
  }

  /// An image that is too small for the network has no drawing.
  @Test func tooSmall() throws {
    let graph = try #require(ResNetArchitecture.named("resnet50")).configuration.graph()
    #expect(NetworkDiagram(graph, costs: [], height: 1, width: 1) == nil)
  }
}
