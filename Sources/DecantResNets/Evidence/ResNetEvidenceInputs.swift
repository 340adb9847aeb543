package import DecantBytes

/// The inputs of evidence, gathered around a state dict: inert values and texts that are never executed.
package struct ResNetEvidenceInputs: Sendable {
  /// The modules of a whole pickled network or a TorchScript archive, with paths as in the state dict's names.
  package var modules = ModuleTree()
  /// The code of TorchScript classes by class name: `__torch__.torchvision.models.resnet.BasicBlock`.
  package var script: [String: String] = [:]
  /// The source text of the classes of pickled modules, by class name.
  package var sources: [String: String] = [:]
  /// The configurations, each with its file or key: `config.json`, `args`.
  package var configurations: [(place: String, content: JSONValue)] = []
  /// The module paths of `_metadata`, in its order, each with its version; nil when the state dict has none.
  package var moduleVersions: [(path: String, version: Int?)]?
  /// True when the file holds the operators of the network, which are not read.
  package var hasUnreadOperators = false
  /// The file's name, without its folder.
  package var fileName: String?

  /// Creates inputs that hold nothing.
  package init() {}
}

extension ResNetEvidence {
  /// Reads the evidence about one network. O(inputs).
  package init(_ traces: ResNetEvidenceInputs, of naming: ResNetTensorNameMap) {
    self.init()
    hasUnreadOperators = traces.hasUnreadOperators
    guard let shapes = try? ResNetConfiguration(shapesOf: naming) else { return }
    let layout = ModulePathMap(naming, shapes)
    if !traces.modules.isEmpty {
      if traces.script.isEmpty {
        let proof = BlockClassEvidence(traces.modules, layout, sources: traces.sources)
        add(ModuleEvidence(traces.modules, layout, .attribute, place: "module attributes").items)
        add(proof.items)
        add(HeadEvidence(naming, traces.modules).items)
        isNetworkProven = proof.isWhole
      } else {
        let code = TorchScriptEvidence(traces.script, traces.modules, layout)
        add(ModuleEvidence(code.modules, layout, .code, place: "TorchScript code").items)
        add(code.items)
        let head = HeadEvidence(naming, code.modules, traces.script, traces.modules)
        add(head.items)
        isOutputOpen = head.isOutputOpen
        isNetworkProven = code.provesShortcuts
      }
    }
    for (place, content) in traces.configurations {
      add(ConfigurationEvidence(content, place: place, dialect: naming.dialect.name, shapes).items)
    }
    if let versions = traces.moduleVersions {
      add(ModuleListEvidence(versions, naming, layout).items)
    }
    if let name = traces.fileName { add(FileNameEvidence.items(name)) }
    let architectures = ResNetArchitecture.sharing(shapes, naming.dialect)
    add(items.flatMap { Self.implied(by: $0, among: architectures) })
  }

  /// Returns the geometry that a published name implies where networks with these shapes differ.
  ///
  /// Only names from strong sources count. The result is empty when the named network has other shapes.
  private static func implied(by item: Item, among architectures: [ResNetArchitecture]) -> [Item] {
    guard item.source.isStrong, case .architecture(let name)? = item.setting,
      let published = architectures.first(where: { $0.name == name })?.configuration
    else { return [] }
    let settings: [(String, Setting)] = [
      ("stride0", .stride0(published.stride0)), ("antialiasing", .antialiasing(published.antialiasing)),
      ("activation", .nonlinearity(published.nonlinearity)),
      ("normalization", .normalization(.group(published.normalizationGroups))),
      ("weight_standardization", .hasStandardizedWeights(published.hasStandardizedWeights)),
    ]
    let facts = architectures.map(\.configuration.geometry)
    return settings.compactMap { name, setting in
      let values = Set(facts.compactMap { $0.first { $0.name == name }?.value })
      guard values.count > 1, let value = published.geometry.first(where: { $0.name == name })?.value else {
        return nil
      }
      return Item(name, value, item.source, place: item.place, item.detail, setting: setting)
    }
  }
}
