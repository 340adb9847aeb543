public import ByteParsing

extension ResNet {
  /// What was gathered around a state dict that may tell of its network: inert values and texts, never run.
  public struct Traces: Sendable {
    /// The modules of a whole pickled network, or of a TorchScript archive; paths as the state dict's names have them.
    public var modules = ModuleTree()
    /// The code of TorchScript's classes by their names: `__torch__.torchvision.models.resnet.BasicBlock`.
    public var script: [String: String] = [:]
    /// The source texts of pickled modules' classes by their names.
    public var sources: [String: String] = [:]
    /// Configurations, each with the name of its place: `config.json`, `args`.
    public var configurations: [(place: String, content: JSONValue)] = []
    /// The module paths of `_metadata`, in its order, each with its version; nil when the state dict has none.
    public var moduleVersions: [(path: String, version: Int?)]?
    /// The file's name, without its folder.
    public var fileName: String?

    /// Nothing gathered yet.
    public init() {}
  }
}

extension ResNet.Evidence {
  /// Reads what traces tell of one network. O(traces).
  public init(_ traces: ResNet.Traces, of naming: ResNet.Naming) {
    self.init()
    guard let shapes = try? ResNet.Configuration(shapesOf: naming) else { return }
    let layout = ResNet.ModuleLayout(naming, shapes)
    if !traces.modules.isEmpty {
      if traces.script.isEmpty {
        let proof = ClassProof(traces.modules, layout, sources: traces.sources)
        add(ModuleReading(traces.modules, layout, .attribute, place: "module attributes").items)
        add(proof.items)
        provesNetwork = proof.isWhole
      } else {
        let code = ScriptCode(traces.script, traces.modules, layout)
        add(ModuleReading(code.modules, layout, .code, place: "TorchScript code").items)
        add(code.items)
        provesNetwork = code.provesShortcuts
      }
    }
    for (place, content) in traces.configurations {
      add(ConfigurationReading(content, place: place, dialect: naming.dialect.name, shapes).items)
    }
    if let versions = traces.moduleVersions {
      add(ModuleListReading(versions, naming, layout).items)
    }
    if let name = traces.fileName { add(FileNameReading.items(name)) }
    let architectures = ResNet.Architecture.sharing(shapes, naming.dialect)
    add(items.flatMap { Self.implied(by: $0, among: architectures) })
  }

  /// What a published name says of the geometry: that in which it differs from other names of these shapes. Of strong
  /// sources only, and nothing when its shapes are others.
  private static func implied(by item: Item, among architectures: [ResNet.Architecture]) -> [Item] {
    guard item.source.isStrong, case .architecture(let name)? = item.setting,
      let published = architectures.first(where: { $0.name == name })?.configuration
    else { return [] }
    let settings: [(String, Setting)] = [
      ("stride0", .stride0(published.stride0)), ("antialiasing", .antialiasing(published.antialiasing)),
      ("activation", .nonlinearity(published.nonlinearity)),
      ("normalization", .normalizationGroups(published.normalizationGroups)),
      ("weight_standardization", .standardizesWeights(published.standardizesWeights)),
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
