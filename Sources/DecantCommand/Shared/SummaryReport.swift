internal import DecantBytes
internal import DecantResNets

/// A description of an architecture that answers common questions about it.
struct SummaryReport {
  let configuration: ResNetConfiguration

  func print() {
    let summary = ResNetSummary(configuration)
    let layers = summary.layers.map(String.init).joined(separator: ", ")
    StandardStreams.line("  block: \(summary.block.rawValue), layers [\(layers)]")
    StandardStreams.line("  depth: \(summary.arithmetic) = \(summary.weightedLayers) weighted layers")
    for stage in summary.stages {
      let channels = stage.channels.map(String.init).joined(separator: " → ")
      let verb = summary.block == .basic ? "keeps" : "reduces and restores"
      let shortcut =
        stage.downsample.map { "downsample in \($0)" }
        ?? (configuration.shortcut == .padding
          ? "no downsample: shortcuts have no parameters" : "no downsample: shapes already match")
      let shape = stage.differingBlocks.isEmpty ? "\(verb) \(channels)" : "of different widths"
      StandardStreams.line(
        "  \(stage.name): \(Format.count(stage.blocks, "block")), \(shape); \(shortcut)")
      for (index, widths) in stage.differingBlocks.enumerated() {
        let channels = widths.map(String.init).joined(separator: " → ")
        StandardStreams.line("    \(stage.name).\(index): \(channels)")
      }
    }
    if configuration.groups > 1 {
      StandardStreams.line(
        "  groups: \(configuration.groups), \(configuration.widthPerGroup) wide each in layer1")
    }
    StandardStreams.line("  outputs: \(Format.count(configuration.classes))")
  }
}
