internal import DecantBytes

/// What a converted file says of itself: the source's own metadata, then what the conversion knows.
struct ConversionMetadata {
  /// The source's metadata with the types that GGUF has for it.
  let fromSource: [(key: String, value: GGUFValue)]
  /// Keys of the source's whose values are too long.
  private let unkept: [String]
  /// What the conversion adds; it replaces the source's of the same keys, so nothing nests.
  let own: [(key: String, value: String)]

  init(_ plan: ConversionPlan) throws {
    let (checkpoint, options) = (plan.checkpoint, plan.options)
    var own: [(key: String, value: String)] = []
    if !checkpoint.isMadeInMemory { own.append(("decant.container", checkpoint.container.rawValue)) }
    if !plan.lost.isEmpty { own.append(("decant.lost", String(plan.lost.count))) }
    if let key = options.key ?? (plan.selection.path.isEmpty ? nil : plan.selection.key) {
      own.append(("decant.key", key))
    }
    if options.recordsSourceDigest { own.append(("decant.source_sha256", try checkpoint.sha256())) }
    if options.isChannelsLast { own.append(("decant.layout", "nhwc")) }
    self.own = own
    let source = try SourceMetadata(
      checkpoint, as: plan.format == .gguf ? .typed : plan.format.holdsMetadata ? .texts : .nowhere)
    fromSource = source.values
    unkept = source.tooLong
  }

  /// Everything as texts, in the order in which it is written.
  var texts: [(key: String, value: String)] {
    [("format", "pt")] + fromSource.map { ($0.key, $0.value.text) } + own
  }

  /// The source's keys that a format leaves behind.
  func dropped(by format: OutputFormat) -> [String] {
    (format.holdsMetadata ? [] : fromSource.map(\.key)) + unkept
  }
}
