internal import ByteParsing

/// What a converted file says of itself: the source's own metadata, then what the conversion knows.
struct ConversionMetadata {
  /// The keys and texts of the source's metadata.
  let fromSource: [(key: String, value: String)]
  /// The keys that the conversion adds; they replace the source's of the same names, so nothing nests.
  let own: [(key: String, value: String)]

  init(_ plan: ConversionPlan) throws {
    let (checkpoint, options) = (plan.checkpoint, plan.options)
    var own: [(key: String, value: String)] = [("decant.container", checkpoint.container.rawValue)]
    if !plan.lost.isEmpty { own.append(("decant.lost", String(plan.lost.count))) }
    if let key = options.key { own.append(("decant.key", key)) }
    if options.sourceDigest { own.append(("decant.source_sha256", try checkpoint.sha256())) }
    if options.channelsLast { own.append(("decant.layout", "nhwc")) }
    own += options.metadata
    self.own = own
    func isKept(_ key: String) -> Bool {
      key != "format" && !key.hasPrefix("decant.") && !own.contains { $0.key == key }
    }
    let texts = Self.metadata(of: checkpoint).filter { isKept($0.key) }
    fromSource = texts
    typed =
      checkpoint.container == .gguf
      ? checkpoint.objects.compactMap { object in
        isKept(object.name) ? GGUFValue(object).map { (object.name, $0) } : nil
      } : texts.map { ($0.key, .text($0.value)) }
  }

  /// The source's metadata with the types that GGUF has for it.
  let typed: [(key: String, value: GGUFValue)]

  /// Everything as texts, in the order in which it is written.
  var texts: [(key: String, value: String)] { [("format", "pt")] + fromSource + own }

  /// What a source's format has as metadata.
  private static func metadata(of checkpoint: Checkpoint) -> [(key: String, value: String)] {
    switch checkpoint.container {
    case .safetensors: checkpoint.hints.map { ($0.label, $0.text) }
    case .shards: checkpoint.hints.filter { $0.label != "shards" }.map { ($0.label, $0.text) }
    case .gguf:
      checkpoint.objects.compactMap { object in
        guard !object.name.hasPrefix("general.alignment"), let value = object.value else { return nil }
        return (object.name, value.string ?? value.text)
      }
    default: []
    }
  }
}
