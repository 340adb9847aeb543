internal import DecantBytes
internal import DecantCheckpoints

/// The metadata of a converted file: the source's own metadata, then the entries that the conversion adds.
package struct ConversionMetadata {
  /// The source's metadata, typed as GGUF types it.
  let fromSource: [(key: String, value: GGUFValue)]
  /// The record of the weights that are channels last; nil when there are none.
  package let record: String?
  /// The source's keys whose values are too long to keep.
  private let droppedKeys: [String]
  /// The entries that the conversion adds. They replace the source's entries with the same keys, so repeated
  /// conversions do not pile up.
  package let own: [(key: String, value: String)]

  package init(_ plan: ConversionPlan) throws {
    let (checkpoint, options) = (plan.checkpoint, plan.options)
    var own: [(key: String, value: String)] = []
    if !checkpoint.isMadeInMemory { own.append(("decant.container", checkpoint.container.rawValue)) }
    if !plan.lost.isEmpty { own.append(("decant.lost", String(plan.lost.count))) }
    if let key = options.key ?? (plan.selection.path.isEmpty ? nil : plan.selection.key) {
      own.append(("decant.key", key))
    }
    if options.recordsSourceDigest { own.append(("decant.source_sha256", try checkpoint.sha256())) }
    self.own = own
    record = plan.tensors.layoutRecord
    let source = try SourceMetadata(
      checkpoint, as: plan.format == .gguf ? .typed : plan.format.holdsMetadata ? .texts : .nowhere)
    let given = Set(options.metadata.map { ExactText($0.key) })
    fromSource =
      source.values.filter { !given.contains(ExactText($0.key)) }
      + options.metadata.map { (key: $0.key, value: .text($0.value)) }
    droppedKeys = source.tooLongKeys
  }

  /// All entries as texts, in the order in which they are written.
  package var texts: [(key: String, value: String)] {
    texts(recording: record)
  }

  /// Returns the entries of a file with some of the tensors.
  ///
  /// - Parameter record: the record of the weights in that file that are channels last; nil when there are none.
  func texts(recording record: String?) -> [(key: String, value: String)] {
    [("format", "pt")] + fromSource.map { ($0.key, $0.value.text) } + own
      + (record.map { [(ConvolutionRecord.key, $0)] } ?? [])
  }

  /// The comment of a zip archive: the record of the weights that are channels last.
  var comment: [UInt8] { record.map(ConvolutionRecord.comment) ?? [] }

  /// Returns the source's keys that are lost in a format.
  package func dropped(by format: OutputFormat) -> [String] {
    (format.holdsMetadata ? [] : fromSource.map(\.key)) + droppedKeys
  }
}

extension [PlannedTensor] {
  /// The record of the weights that are channels last; nil when there are none.
  var layoutRecord: String? {
    let turned = compactMap { tensor in tensor.turned.map { (name: tensor.name, kind: $0) } }
    return turned.isEmpty ? nil : ConvolutionRecord.text(turned)
  }
}
