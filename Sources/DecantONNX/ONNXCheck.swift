internal import DecantBytes
internal import DecantCheckpoints
internal import DecantFormats
internal import DecantIO
internal import DecantTensors

/// A constant as it is stored in a written model.
private struct WrittenInitializer {
  var name = ""
  var shape: [Int] = []
  var elementType: UInt64 = 0
  /// The byte range of the data in the model; nil for external data.
  var inside: Range<Int>?
  /// The entries `location`, `offset` and `length` of external data.
  var external: [String: String] = [:]

  /// Reads a `TensorProto`.
  init(_ source: ByteSource, _ range: Range<Int>) throws(DecantError) {
    var fields = ProtobufReader(source, range)
    while let (number, value) = try fields.next() {
      switch (number, value) {
      case (1, .number(let size)): shape.append(Int(truncatingIfNeeded: size))
      case (2, .number(let type)): elementType = type
      case (8, .bytes(let text)): name = try fields.text(text)
      case (9, .bytes(let numbers)): inside = numbers
      case (13, .bytes(let entry)):
        var pair = ProtobufReader(source, entry)
        var texts: [String] = []
        while case (_, .bytes(let text))? = try pair.next() { texts.append(try pair.text(text)) }
        if texts.count == 2 { external[texts[0]] = texts[1] }
      default: break
      }
    }
  }

  /// Returns the constants of a model: field 5 (initializer) of field 7 (graph).
  static func all(in source: ByteSource) throws(DecantError) -> [WrittenInitializer] {
    var found: [WrittenInitializer] = []
    var model = ProtobufReader(source)
    while let (number, value) = try model.next() {
      guard number == 7, case .bytes(let range) = value else { continue }
      var graph = ProtobufReader(source, range)
      while let (number, value) = try graph.next() {
        if number == 5, case .bytes(let range) = value { found.append(try WrittenInitializer(source, range)) }
      }
    }
    return found
  }
}

extension ONNXDataLayout {
  /// Reads back the written files before they get their final names, and compares the SHA-256 of every constant with
  /// the source's.
  ///
  /// O(bytes) of both the files and the source.
  func compare(_ model: AtomicOutput, _ data: AtomicOutput?, _ planned: [ONNXInitializer]) throws {
    let modelFile = try model.reopened()
    let dataFile = try data?.reopened()
    let written = try WrittenInitializer.all(in: ByteSource(modelFile))
    guard written.count == planned.count else {
      throw model.mismatch("it has \(written.count) constants, not \(planned.count)")
    }
    for (place, (found, planned)) in zip(written, planned).enumerated() {
      guard found.name == planned.name else {
        throw model.mismatch("\(found.name.escapedForDisplay) is in its place", tensor: planned.name)
      }
      guard found.shape == planned.shape, found.elementType == planned.elementType else {
        throw model.mismatch(
          "it is of shape \(found.shape) and ONNX's type \(found.elementType)", tensor: planned.name)
      }
      var numbers = found.inside.map { (modelFile, $0) }
      if let (location, offset) = self.place(of: place), let dataFile,
        found.external["location"] == location, found.external["offset"] == "\(offset)",
        found.external["length"] == "\(planned.byteCount)"
      {
        numbers = (dataFile, offset..<offset + planned.byteCount)
      }
      guard let (file, range) = numbers, try file.sha256(range) == planned.sha256() else {
        throw model.mismatch("its values differ", tensor: planned.name)
      }
    }
  }
}

extension ONNXInitializer {
  /// Returns the SHA-256 of the data to write, computed from the source. O(bytes).
  fileprivate func sha256() throws -> String {
    let hash = try SHA256()
    try unsafe readNumbers { unsafe hash.update($0) }
    return hash.finish()
  }
}
