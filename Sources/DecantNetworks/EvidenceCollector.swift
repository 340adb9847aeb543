internal import DecantBytes
package import DecantCheckpoints
package import DecantResNets

/// Collects the facts about a network in a checkpoint and in the files next to it, as input of ``ResNetEvidence``.
///
/// It is not in either module because checkpoints and ResNets do not depend on each other (docs/adr/0018).
package struct EvidenceCollector {
  package private(set) var traces = ResNetEvidenceInputs()
  /// Messages about files next to the checkpoint that could not be read, with the reason.
  package private(set) var notes: [String] = []

  package init(_ checkpoint: Checkpoint, _ selection: Selection) {
    gatherModules(checkpoint, selection)
    traces.configurations = EmbeddedConfigurations.found(in: checkpoint, around: selection.path)
    let place: String? =
      switch checkpoint.container {
      case .safetensors: "safetensors __metadata__"
      case .onnx: "ONNX metadata_props"
      default: nil
      }
    if let place {
      let metadata = JSONValue.object(
        checkpoint.containerMetadata.map { (key: $0.label, value: .string($0.text)) })
      traces.configurations.append((place: place, content: metadata))
    }
    traces.hasUnreadOperators = [.onnx, .mlpackage, .torchExport].contains(checkpoint.container)
    gatherBeside(checkpoint)
    traces.fileName = checkpoint.path.split(separator: "/").last.map(String.init)
  }

  // MARK: In the file

  private mutating func gatherModules(_ checkpoint: Checkpoint, _ selection: Selection) {
    for object in checkpoint.objects where object.path.starts(with: selection.path) {
      let steps = object.path.dropFirst(selection.path.count).map(\.name)
      let path = steps.joined(separator: ".")
      if let versions = object.moduleVersions, steps == ["_metadata"] {
        traces.moduleVersions = versions.map { ($0.path, $0.version.flatMap { Int(exactly: $0) }) }
      } else if let value = object.value {
        if traces.modules.values[path] == nil { traces.modules.values[path] = value }
      } else if object.count == nil, object.type.contains("."), traces.modules.classes[path] == nil {
        traces.modules.classes[path] = object.type
        traces.modules.order.append(path)
      }
      // Every module has an empty dictionary of hooks.
      if let hook = steps.firstIndex(where: {
        ["_forward_hooks", "_forward_pre_hooks", "forward"].contains($0)
      }),
        !(hook == steps.count - 1 && object.count == 0)
      {
        traces.modules.altered.insert(steps[..<hook].joined(separator: "."))
      }
    }
    if checkpoint.container == .torchscript { traces.script = checkpoint.scriptClasses() }
    for source in checkpoint.moduleSources {
      if let text = source.text, traces.sources[source.className] == nil {
        traces.sources[source.className] = text
      }
    }
  }

  // MARK: Next to the file

  /// The files that Hugging Face, timm and the detectors' authors store next to weights.
  private static let beside = ["config.json", "preprocessor_config.json", "config.yaml", "args.yaml"]

  private mutating func gatherBeside(_ checkpoint: Checkpoint) {
    for name in Self.beside {
      switch checkpoint.siblingFile(named: name) {
      case .absent: continue
      case .refused(let error): notes.append("ignoring \(name) next to the checkpoint: \(error)")
      case .content(let bytes):
        if name.hasSuffix(".json") {
          guard let content = try? JSONValue(parsing: unsafe bytes.span.bytes, depth: 64) else {
            notes.append("ignoring \(name) next to the checkpoint: not JSON")
            continue
          }
          traces.configurations.append((place: name, content: content))
        } else if let text = String(validating: bytes, as: UTF8.self),
          let content = ResNetEvidenceInputs.settings(inLines: text)
        {
          traces.configurations.append((place: name, content: content))
        }
      }
    }
  }
}
