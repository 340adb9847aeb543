package import DecantBytes
package import DecantCheckpoints

/// The metadata of a safetensors, sharded, GGUF, ONNX or Core ML file, without the entries that describe only that file.
struct SourceMetadata {
  /// The form in which the output format stores metadata.
  package enum Form {
    case typed, texts, nowhere
  }

  /// The entries in the file's order, typed as GGUF types them; with `.texts`, every value is loaded from the file.
  private(set) var values: [(key: String, value: GGUFValue)] = []
  /// The keys whose values are too long for a header.
  private(set) var tooLongKeys: [String] = []
  /// The number of bytes of long arrays and texts so far; they are held in memory.
  private var encodedByteCount = 0

  /// - Throws: ``DecantError`` when a value that is read on demand cannot be read.
  init(_ checkpoint: Checkpoint, as form: Form) throws(DecantError) {
    switch checkpoint.container {
    case .safetensors, .onnx, .mlpackage:
      for hint in checkpoint.containerMetadata { add(hint.label, .text(hint.text)) }
    case .shards:
      for hint in checkpoint.containerMetadata where hint.label != "shards" {
        add(hint.label, .text(hint.text))
      }
    case .gguf: for object in checkpoint.objects where object.unreadTensor == nil { try add(object, form) }
    default: break
    }
  }

  private mutating func add(_ key: String, _ value: GGUFValue) {
    let describesSource = ["format", "general.alignment"].contains(key) || key.hasPrefix("decant.")
    if !describesSource { values.append((key, value)) }
  }

  /// Adds a value of a GGUF file; the elements of a short array follow each other, at paths below its key.
  private mutating func add(_ object: CheckpointObject, _ form: Form) throws(DecantError) {
    guard let key = object.path.first?.name else { return }
    guard object.path.count > 1 else {
      if let value = try value(of: object, form) { add(key, value) } else { tooLongKeys.append(key) }
      return
    }
    // An array that lost an element would be a different array.
    if tooLongKeys.last == key { return }
    let others = values.last?.key == key ? values.removeLast().value : .array([])
    guard let value = try value(of: object, form), case .array(let elements) = others else {
      return tooLongKeys.append(key)
    }
    add(key, .array(elements + [value]))
  }

  /// Returns a value in a form that the output can hold; nil for one that is too long.
  private mutating func value(
    of object: CheckpointObject, _ form: Form
  ) throws(DecantError) -> GGUFValue? {
    let value = GGUFValue(object)
    guard case .encoded(let encoded)? = value, form != .nowhere else { return value }
    encodedByteCount += encoded.byteCount
    // As text, a number takes several times as many bytes, and the header must hold the tensors too.
    let most = Limits().headerBytes / (form == .typed ? 1 : 4)
    guard encodedByteCount <= most else { return nil }
    return form == .typed ? value : try encoded.text(limit: most).map { .text($0) }
  }
}

extension Checkpoint {
  /// Returns the metadata of a safetensors, sharded, GGUF, ONNX or Core ML file as texts, in the file's order; empty
  /// for other files. Arrays are JSON.
  ///
  /// - Returns: The entries, and the keys of values that are too long.
  /// - Throws: ``DecantError`` when a value that is read on demand cannot be read.
  package func metadata() throws(DecantError) -> (
    texts: [(key: String, value: String)], tooLongKeys: [String]
  ) {
    let source = try SourceMetadata(self, as: .texts)
    return (source.values.map { ($0.key, $0.value.text) }, source.tooLongKeys)
  }
}
