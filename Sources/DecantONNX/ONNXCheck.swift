internal import DecantBytes
internal import DecantCheckpoints
internal import DecantFormats
internal import DecantIO
internal import DecantTensors

extension ONNXTensorProto {
  /// Returns the initialisers of a model's graph.
  fileprivate static func initializers(of source: ByteSource) throws(DecantError) -> [ONNXTensorProto] {
    var found: [ONNXTensorProto] = []
    var model = ProtobufReader(source)
    while let (number, value) = try model.next() {
      guard number == ONNXField.Model.graph, case .bytes(let range) = value else { continue }
      var graph = ProtobufReader(source, range)
      while let (number, value) = try graph.next() {
        if number == ONNXField.Graph.initializer, case .bytes(let range) = value {
          found.append(try ONNXTensorProto(source, range))
        }
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
    let written = try ONNXTensorProto.initializers(of: ByteSource(modelFile))
    guard written.count == planned.count else {
      throw model.mismatch("it has \(written.count) constants, not \(planned.count)")
    }
    for (place, (found, planned)) in zip(written, planned).enumerated() {
      guard found.name == planned.name else {
        throw model.mismatch("\(found.name.escapedForDisplay) is in its place", tensor: planned.name)
      }
      guard found.shape == planned.shape, found.typeNumber == planned.elementType else {
        throw model.mismatch(
          "it is of shape \(found.shape) and ONNX's type \(found.typeNumber)", tensor: planned.name)
      }
      var numbers = found.rawData.map { (modelFile, $0) }
      if let (location, offset) = self.place(of: place), let dataFile,
        found.external("location") == location, found.external("offset") == "\(offset)",
        found.external("length") == "\(planned.byteCount)"
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
