internal import ByteParsing

/// What a converted file says of itself: the source's own metadata, then what the conversion knows.
struct ConversionMetadata {
  /// The source's metadata with the types that GGUF has for it.
  private(set) var fromSource: [(key: String, value: GGUFValue)] = []
  /// Keys of the source's whose values are not kept: those too long for the target's header.
  private(set) var unkept: [String] = []
  /// Bytes of the source's long arrays and texts, which go through memory.
  private var encodedByteCount = 0
  /// What the conversion adds; it replaces the source's of the same keys, so nothing nests.
  let own: [(key: String, value: String)]

  init(_ plan: ConversionPlan) throws {
    let (checkpoint, options) = (plan.checkpoint, plan.options)
    var own: [(key: String, value: String)] = [("decant.container", checkpoint.container.rawValue)]
    if !plan.lost.isEmpty { own.append(("decant.lost", String(plan.lost.count))) }
    if let key = options.key { own.append(("decant.key", key)) }
    if options.sourceDigest { own.append(("decant.source_sha256", try checkpoint.sha256())) }
    if options.channelsLast { own.append(("decant.layout", "nhwc")) }
    self.own = own
    switch checkpoint.container {
    case .safetensors: for hint in checkpoint.hints { add(hint.label, .text(hint.text)) }
    case .shards:
      for hint in checkpoint.hints where hint.label != "shards" { add(hint.label, .text(hint.text)) }
    case .gguf:
      for object in checkpoint.objects where object.unreadTensor == nil { try add(object, plan.format) }
    default: break
    }
  }

  /// Everything as texts, in the order in which it is written.
  var texts: [(key: String, value: String)] {
    [("format", "pt")] + fromSource.map { ($0.key, $0.value.text) } + own
  }

  /// The source's keys that a format leaves behind.
  func dropped(by format: TargetFormat) -> [String] {
    (format.holdsMetadata ? [] : fromSource.map(\.key)) + unkept
  }

  private mutating func add(_ key: String, _ value: GGUFValue) {
    let describesSource = ["format", "general.alignment"].contains(key) || key.hasPrefix("decant.")
    if !describesSource, !own.contains(where: { ExactText($0.key) == ExactText(key) }) {
      fromSource.append((key, value))
    }
  }

  /// Adds a value of a GGUF file; the elements of a short array stand one after the other, below its key.
  private mutating func add(_ object: CheckpointObject, _ format: TargetFormat) throws(CheckpointError) {
    guard let key = object.path.first?.name else { return }
    guard var value = GGUFValue(object) else { return unkept.append(key) }
    if case .encoded(let encoded) = value, format.holdsMetadata {
      encodedByteCount += encoded.byteCount
      // As text a number is several times as long, and the header must hold the tensors too.
      let most = Limits().headerBytes / (format == .gguf ? 1 : 4)
      guard encodedByteCount <= most else { return unkept.append(key) }
      if format != .gguf {
        guard let text = try encoded.text(limit: most) else { return unkept.append(key) }
        value = .text(text)
      }
    }
    guard object.path.count > 1 else { return add(key, value) }
    if let last = fromSource.last, last.key == key, case .array(let elements) = last.value {
      fromSource[fromSource.count - 1].value = .array(elements + [value])
    } else {
      add(key, .array([value]))
    }
  }
}
