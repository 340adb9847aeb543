internal import DecantBytes
internal import DecantGraphs

/// The drawing as SVG: a panel for each part of the network.
///
/// Values flow from top to bottom. The width of a shape stands for the number of channels, on one scale for the whole
/// network. Lengths are in pixels at the drawing's own size.
extension NetworkDiagram {
  /// One panel, with the top left corner at the origin.
  struct DrawnPanel {
    let markup: Markup
    let height: Double
    let title: String
    /// The panel in words, for readers who do not see it.
    let description: String
  }

  static let panelWidth = 320.0

  /// The panels in order.
  var drawnPanels: [DrawnPanel] {
    let scale = PanelPen.widest / Double(mostChannels)
    return panels.map { panel in
      var pen = PanelPen(scale: scale)
      pen.draw(panel)
      return DrawnPanel(
        markup: pen.markup, height: pen.y, title: panel.name, description: panel.description)
    }
  }

  /// Returns the drawing alone, which is the same for the same network and title.
  package func svg(title: String) -> Markup {
    let (gap, margin, columns) = (44.0, 24.0, min(3, max(1, panels.count)))
    let drawn = drawnPanels
    var (y, placed) = (margin + 40, [Markup]())
    for start in stride(from: 0, to: drawn.count, by: columns) {
      let row = drawn[start..<min(start + columns, drawn.count)]
      for (column, panel) in row.enumerated() {
        let x = margin + Double(column) * (Self.panelWidth + gap)
        placed.append(
          "<g transform=\"translate(\(x) \(y))\"><title>\(panel.title): \(panel.description)</title>\(panel.markup)</g>\n"
        )
      }
      y += (row.map(\.height).max() ?? 0) + gap
    }
    let width = 2 * margin + Double(columns) * Self.panelWidth + Double(columns - 1) * gap
    return """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(y)" width="\(width)" height="\(y)" role="img" aria-labelledby="title description" font-family="system-ui, sans-serif">
      <title id="title">\(title)</title>
      <desc id="description">\(drawn.map(\.description).joined(separator: " "))</desc>
      <style>\(PageStyle.colors)\(PageStyle.drawing)</style>
      <rect class="ground" width="\(width)" height="\(y)"/>
      <text class="d-name" x="\(margin)" y="\(margin + 14)">\(title)</text>
      \(placed)</svg>

      """
  }
}

/// A panel under construction.
private struct PanelPen {
  /// The width of the largest number of channels.
  static let widest = 190.0
  private static let center = 122.0
  private static let labels = 226.0
  /// The distance of two bars.
  private static let step = 32.0

  private let scale: Double
  private(set) var markup: Markup = ""
  private(set) var y = 0.0

  init(scale: Double) { self.scale = scale }

  private func width(_ channels: Int) -> Double { max(1, Double(channels) * scale) }

  mutating func draw(_ panel: NetworkDiagram.Panel) {
    markup += """
      <text class="d-name" x="0" y="14">\(panel.name)</text>\
      <text class="d-soft" x="\(NetworkDiagram.panelWidth)" y="14" text-anchor="end">\(panel.input.text) → \(panel.output.text)</text>\
      <path class="d-rule" d="M0 22.5H\(NetworkDiagram.panelWidth)"/>
      """
    y = 40
    switch panel.content {
    case .layers(let layers): draw(layers, from: panel.input)
    case .blocks(let blocks):
      for block in blocks.prefix(Self.mostBlocks) { draw(block) }
      if blocks.count > Self.mostBlocks {
        let more = Format.count(blocks.count - Self.mostBlocks, "more block")
        markup += "<text class=\"d-soft\" x=\"0\" y=\"\(y + 8)\">… and \(more) that differ</text>"
        y += 20
      }
    }
  }

  /// The most differing blocks of one stage that are drawn.
  private static let mostBlocks = 12

  private mutating func draw(_ layers: [NetworkDiagram.Layer], from input: FeatureShape) {
    var before = input.channels
    bar(before)
    for layer in layers {
      draw(layer, from: before)
      before = layer.output.channels
    }
    y += 12
  }

  private mutating func draw(_ layer: NetworkDiagram.Layer, from channels: Int) {
    let (top, bottom) = (width(channels) / 2, width(layer.output.channels) / 2)
    let lines = Self.lines(of: layer)
    let step = Self.step + 12 * Double(lines.count - 1)
    let (center, middle, end) = (Self.center, y + step / 2, y + step)
    let kind =
      switch layer.kind {
      case .convolution: layer.operation == "1×1" ? "d-point" : "d-space"
      case .linear: "d-point"
      case .pooling, .attention, .other: "d-other"
      }
    markup += """
      <path class="\(kind)" d="M\(center - top) \(y)C\(center - top) \(middle) \(center - bottom) \(middle) \(center - bottom) \(end)H\(center + bottom)C\(center + bottom) \(middle) \(center + top) \(middle) \(center + top) \(y)Z"/>
      """
    for (index, line) in lines.enumerated() {
      let baseline = middle + 3.5 + 12 * (Double(index) - Double(lines.count - 1) / 2)
      label(line.text, at: baseline, line.isStride ? "d-stride" : "d-text")
    }
    y = end
    bar(layer.output.channels)
  }

  /// Returns the label of a layer. Strides and dilations have lines of their own, since they change the resolution.
  private static func lines(of layer: NetworkDiagram.Layer) -> [(text: String, isStride: Bool)] {
    let operation = wrapped(layer.operation + (layer.groups > 1 ? ", \(layer.groups) groups" : ""))
    let strides =
      (layer.stride > 1 ? ["stride \(layer.stride)"] : [])
      + (layer.dilation > 1 ? ["dilation \(layer.dilation)"] : [])
    return operation.map { ($0, false) } + strides.map { ($0, true) }
  }

  /// Breaks a text at spaces into lines that fit beside the drawing.
  private static func wrapped(_ text: String) -> [String] {
    var lines: [String] = []
    for word in text.split(separator: " ") {
      if let last = lines.last, last.count + word.count < 16 {
        lines[lines.count - 1] = last + " " + word
      } else {
        lines.append(String(word))
      }
    }
    return lines
  }

  /// Draws a value: a bar as wide as its channels, and their number.
  private mutating func bar(_ channels: Int) {
    let half = width(channels) / 2
    markup += """
      <rect class="d-bar" x="\(Self.center - half)" y="\(y - 1)" width="\(2 * half)" height="2"/>
      """
    label(Format.count(channels), at: y + 3.5, "d-soft")
  }

  private mutating func label(_ text: String, at y: Double, _ kind: String) {
    markup += "<text class=\"\(kind)\" x=\"\(Self.labels)\" y=\"\(y)\">\(text)</text>"
  }

  private mutating func draw(_ block: NetworkDiagram.Block) {
    let title = "\(block.count == 1 ? "block" : "blocks") \(block.indices)"
    markup += "<text class=\"d-title\" x=\"0\" y=\"\(y)\">\(title)</text>"
    y += 16
    let start = y
    var before = block.input.channels
    bar(before)
    for layer in block.layers {
      draw(layer, from: before)
      before = layer.output.channels
    }
    let sum = y + 20
    shortcut(block, from: start, to: sum)
    y = sum + 36
  }

  /// Draws the shortcut along the left side, from the block's input to its sum.
  private mutating func shortcut(_ block: NetworkDiagram.Block, from start: Double, to sum: Double) {
    let (lane, center) = (8.0, Self.center)
    let left = center - width(block.input.channels) / 2
    let kind = block.shortcut == .identity ? "d-identity" : "d-project"
    markup += """
      <path class="\(kind)" d="M\(left) \(start)H\(lane + 6)Q\(lane) \(start) \(lane) \(start + 6)V\(sum - 6)Q\(lane) \(sum) \(lane + 6) \(sum)H\(center - 7)"/>\
      <path class="d-rule" d="M\(center) \(sum - 19)V\(sum - 7)"/>\
      <circle class="d-sum" cx="\(center)" cy="\(sum)" r="6.5"/><path class="d-plus" d="M\(center - 3.5) \(sum)h7M\(center) \(sum - 3.5)v7"/>
      """
    switch block.shortcut {
    case .identity: label("+ identity", at: sum + 1, "d-soft")
    case .downsample(let operations):
      let middle = (start + sum) / 2
      markup += """
        <rect class="d-box" x="\(lane - 5)" y="\(middle - 18)" width="10" height="36" rx="2"/>
        """
      let lines = ["+ downsample"] + Self.wrapped(operations.joined(separator: ", "))
      for (index, line) in lines.enumerated() {
        label(line, at: sum + 1 + 12 * Double(index), "d-project-text")
      }
    case .padding:
      for (index, line) in Self.wrapped("+ \(block.shortcut.text ?? "")").enumerated() {
        label(line, at: sum + 1 + 12 * Double(index), "d-project-text")
      }
    }
  }
}

extension NetworkDiagram.Panel {
  /// The panel in words, for readers who do not see the drawing.
  fileprivate var description: String {
    func list(_ layers: [NetworkDiagram.Layer]) -> String {
      layers.map { "\($0.text) to \(Format.count($0.output.channels, "channel"))" }.joined(separator: "; ")
    }
    let change = "\(input.text) becomes \(output.text)."
    switch content {
    case .layers(let layers): return "\(change) \(list(layers))."
    case .blocks(let blocks):
      let texts = blocks.map { block in
        "\(block.count == 1 ? "Block" : "Blocks") \(block.indices): \(list(block.layers)); shortcut: \(block.shortcut.text ?? "identity")."
      }
      return "\(Format.count(blockCount, "block")), \(change) " + texts.joined(separator: " ")
    }
  }
}
