package import DecantBytes

/// What a safetensors, sharded or GGUF file says of itself, but for what holds of that file only.
struct SourceMetadata {
  /// How a target holds metadata.
  enum Form {
    case typed, texts, nowhere
  }

  /// In the file's order, with the types that GGUF has for it; with `.texts`, none stays in its file.
  private(set) var values: [(key: String, value: GGUFValue)] = []
  /// Keys whose values are too long for a header.
  private(set) var tooLong: [String] = []
  /// Bytes of long arrays and texts, which go through memory.
  private var encodedByteCount = 0

  /// - Throws: ``DecantError`` when a value that stayed in the file cannot be read.
  init(_ checkpoint: Checkpoint, as form: Form) throws(DecantError) {
    switch checkpoint.container {
    case .safetensors: for hint in checkpoint.hints { add(hint.label, .text(hint.text)) }
    case .shards:
      for hint in checkpoint.hints where hint.label != "shards" { add(hint.label, .text(hint.text)) }
    case .gguf: for object in checkpoint.objects where object.unreadTensor == nil { try add(object, form) }
    default: break
    }
  }

  private mutating func add(_ key: String, _ value: GGUFValue) {
    let describesSource = ["format", "general.alignment"].contains(key) || key.hasPrefix("decant.")
    if !describesSource { values.append((key, value)) }
  }

  /// Adds a value of a GGUF file; the elements of a short array stand one after the other, below its key.
  private mutating func add(_ object: CheckpointObject, _ form: Form) throws(DecantError) {
    guard let key = object.path.first?.name else { return }
    guard object.path.count > 1 else {
      if let value = try value(of: object, form) { add(key, value) } else { tooLong.append(key) }
      return
    }
    // Without one of its elements an array is another.
    if tooLong.last == key { return }
    let others = values.last?.key == key ? values.removeLast().value : .array([])
    guard let value = try value(of: object, form), case .array(let elements) = others else {
      return tooLong.append(key)
    }
    add(key, .array(elements + [value]))
  }

  /// A value in a form that the target can hold; nil for one that is too long for it.
  private mutating func value(
    of object: CheckpointObject, _ form: Form
  ) throws(DecantError) -> GGUFValue? {
    let value = GGUFValue(object)
    guard case .encoded(let encoded)? = value, form != .nowhere else { return value }
    encodedByteCount += encoded.byteCount
    // As text a number is several times as long, and the header must hold the tensors too.
    let most = Limits().headerBytes / (form == .typed ? 1 : 4)
    guard encodedByteCount <= most else { return nil }
    return form == .typed ? value : try encoded.text(limit: most).map { .text($0) }
  }
}

extension Checkpoint {
  /// What a safetensors, sharded or GGUF file says of itself, as texts in its order; none of other files. Arrays are JSON.
  ///
  /// - Returns: the keys of values that are too long, too.
  /// - Throws: ``DecantError`` when a value that stayed in the file cannot be read.
  package func metadata() throws(DecantError) -> (
    texts: [(key: String, value: String)], tooLong: [String]
  ) {
    let source = try SourceMetadata(self, as: .texts)
    return (source.values.map { ($0.key, $0.value.text) }, source.tooLong)
  }
}
