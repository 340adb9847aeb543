internal import DecantBytes
internal import DecantGraphs

/// The drawing in the languages of Graphviz and Mermaid. Names come from the graph, never from a file, except the title.
extension NetworkDiagram {
  /// Returns the drawing in Graphviz's language. It is the same for the same network and title.
  package func dot(title: String) -> String {
    var lines = [
      "digraph network {",
      "  graph [label=\(Self.dotQuoted([title])), labelloc=t, fontname=\"Helvetica\", rankdir=TB, compound=true];",
      "  node [shape=box, style=\"rounded,filled\", fillcolor=\"#f4f6f6\", color=\"#7a8486\", fontname=\"Helvetica\", fontsize=11];",
      "  edge [color=\"#5d6769\", fontname=\"Helvetica\", fontsize=10];",
    ]
    let outline = DiagramOutline(self)
    for (index, group) in outline.groups.enumerated() {
      if let name = group.title {
        lines.append("  subgraph cluster_\(index) {")
        lines.append("    label=\(Self.dotQuoted([name])); color=\"#b7bfc1\"; fontsize=12;")
      }
      for node in group.nodes {
        let shape = node.isSum ? ", shape=circle, fixedsize=true, width=0.3" : ""
        lines.append("    n\(node.id) [label=\(Self.dotQuoted(node.lines))\(shape)];")
      }
      if group.title != nil { lines.append("  }") }
    }
    for edge in outline.edges {
      let label = edge.label.map { ", label=\(Self.dotQuoted([$0]))" } ?? ""
      let style = edge.isShortcut ? "style=\(edge.label == nil ? "dashed" : "bold")\(label)" : ""
      lines.append("  n\(edge.from) -> n\(edge.to)\(style.isEmpty ? "" : " [\(style)]");")
    }
    return (lines + ["}", ""]).joined(separator: "\n")
  }

  /// Returns the drawing in Mermaid's language. It is the same for the same network and title.
  package func mermaid(title: String) -> String {
    var lines = ["%% \(title.escapedForDisplay)", "flowchart TB"]
    let outline = DiagramOutline(self)
    for (index, group) in outline.groups.enumerated() {
      if let name = group.title { lines.append("  subgraph g\(index)[\(Self.mermaidQuoted([name]))]") }
      for node in group.nodes {
        let text = Self.mermaidQuoted(node.lines)
        lines.append("    n\(node.id)\(node.isSum ? "((\(text)))" : "[\(text)]")")
      }
      if group.title != nil { lines.append("  end") }
    }
    for edge in outline.edges {
      let arrow = edge.isShortcut ? (edge.label == nil ? "-.->" : "==>") : "-->"
      let label = edge.label.map { "|\(Self.mermaidQuoted([$0]))|" } ?? ""
      lines.append("  n\(edge.from) \(arrow)\(label) n\(edge.to)")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func dotQuoted(_ lines: [String]) -> String {
    let escaped = lines.map { line in
      line.escapedForDisplay.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
    }
    return "\"" + escaped.joined(separator: "\\n") + "\""
  }

  /// Returns lines as one quoted label. Mermaid reads entities, and labels as Markdown or HTML otherwise.
  private static func mermaidQuoted(_ lines: [String]) -> String {
    let escaped = lines.map { line in
      line.escapedForDisplay.replacing("#", with: "#35;").replacing("&", with: "#amp;")
        .replacing("\"", with: "#quot;").replacing("<", with: "#lt;").replacing(">", with: "#gt;")
    }
    return "\"" + escaped.joined(separator: "<br/>") + "\""
  }
}

/// The drawing as boxes and arrows.
private struct DiagramOutline {
  struct Node {
    let id: Int
    let lines: [String]
    var isSum = false
  }

  /// The nodes of a block, or nodes outside of blocks.
  struct Group {
    let title: String?
    var nodes: [Node]
  }

  struct Edge {
    let from: Int
    let to: Int
    /// The operations of a shortcut; nil for other edges and for the identity.
    var label: String?
    var isShortcut = false
  }

  private(set) var groups: [Group] = []
  private(set) var edges: [Edge] = []
  private var count = 0

  init(_ diagram: NetworkDiagram) {
    var last = add(["input", Self.text(diagram.input)], to: nil)
    for panel in diagram.panels {
      switch panel.content {
      case .layers(let layers):
        for layer in layers { last = append(layer, after: last, title: nil) }
      case .blocks(let blocks):
        for block in blocks {
          let count = block.count == 1 ? "" : " (\(Format.count(block.count, "block")))"
          let title = panel.name + "." + block.indices + count
          let start = last
          groups.append(Group(title: title, nodes: []))
          for layer in block.layers { last = append(layer, after: last, title: title) }
          let sum = add(["+"], to: title, isSum: true)
          edges.append(Edge(from: last, to: sum))
          edges.append(Edge(from: start, to: sum, label: block.shortcut.text, isShortcut: true))
          last = sum
        }
      }
    }
  }

  private mutating func append(_ layer: NetworkDiagram.Layer, after last: Int, title: String?) -> Int {
    let node = add([layer.name, layer.text, Self.text(layer.output)], to: title)
    edges.append(Edge(from: last, to: node))
    return node
  }

  private mutating func add(_ lines: [String], to title: String?, isSum: Bool = false) -> Int {
    let node = Node(id: count, lines: lines, isSum: isSum)
    count += 1
    if let title, groups.last?.title == title {
      groups[groups.count - 1].nodes.append(node)
    } else {
      groups.append(Group(title: title, nodes: [node]))
    }
    return node.id
  }

  private static func text(_ shape: FeatureShape) -> String { shape.text }
}

extension NetworkDiagram.Block {
  /// The indices of the blocks in their stage, such as `0` or `1–2`.
  var indices: String { count == 1 ? String(first) : "\(first)–\(first + count - 1)" }
}

extension NetworkDiagram.Shortcut {
  /// The operations; nil for the identity.
  package var text: String? {
    switch self {
    case .identity: nil
    case .downsample(let operations): "downsample: " + operations.joined(separator: ", ")
    case .padding(let stride):
      stride > 1 ? "every \(stride == 2 ? "second" : "\(stride)th") pixel, zero channels" : "zero channels"
    }
  }
}

extension FeatureShape {
  /// The shape for people: channels, height and width, or the channels of a vector.
  package var text: String {
    height == 1 && width == 1 ? Format.count(channels) : Format.shape([channels, height, width])
  }
}
