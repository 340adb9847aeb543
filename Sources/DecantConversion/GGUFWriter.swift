internal import DecantBytes
internal import DecantCheckpoints
internal import DecantFormats
internal import DecantIO
internal import DecantTensors

/// A writer of GGUF files of version 3, little-endian.
///
/// Source: the GGUF specification (ggml `docs/gguf.md`), ggml `include/{ggml,gguf}.h`; docs/formats/gguf.md.
struct GGUFWriter {
  private static let alignment = 32
  /// ggml's GGML_MAX_DIMS, and GGML_MAX_NAME without the terminating zero byte.
  private static let mostDimensions = 4
  private static let longestName = 63

  private let tensors: [PlannedTensor]
  /// The bytes before the data.
  private let header: [UInt8]

  /// Plans a file; writes nothing.
  ///
  /// - Throws: ``DecantError`` that lists every tensor the format cannot hold.
  init(_ tensors: [PlannedTensor], _ metadata: ConversionMetadata) throws(DecantError) {
    var refused = RefusedTensors(among: tensors)
    refused.refuse(
      dtypesOf: tensors.indices { GGMLType.code($0.dtype) == nil }, "GGUF cannot store the dtype of")
    refused.refuse(
      tensors.indices { $0.shape.count > Self.mostDimensions },
      "GGUF allows at most \(Self.mostDimensions) dimensions, exceeded by")
    func isValid(_ name: String) -> Bool { name.utf8.count <= Self.longestName }
    refused.refuse(
      namesOf: tensors.indices { !isValid($0.name) },
      "GGUF allows names of at most \(Self.longestName) bytes, exceeded by", isValid: isValid,
      // Keeps the beginning and the end of long names.
      substitutions: ["s/^(.{20}).{2,}(.{42})$/\\1_\\2/"])
    try refused.finish()
    self.tensors = tensors
    var header = FileSignature.gguf
    header.appendLittleEndian(UInt32(3))
    header.appendLittleEndian(UInt64(tensors.count))
    let values = Self.values(metadata, tensors)
    header.appendLittleEndian(UInt64(values.count))
    for (key, value) in values {
      header.appendText(key)
      try value.append(to: &header)
    }
    var offset = 0
    for tensor in tensors {
      header.appendText(tensor.name)
      header.appendLittleEndian(UInt32(tensor.shape.count))
      for size in tensor.shape.reversed() { header.appendLittleEndian(UInt64(size)) }
      header.appendLittleEndian(GGMLType.code(tensor.dtype) ?? 0)
      header.appendLittleEndian(UInt64(offset))
      guard let end = offset.checkedAdding(tensor.byteCount + Self.padding(tensor.byteCount)) else {
        throw DecantError(.notRepresentable, "the tensors are too large for one file")
      }
      offset = end
    }
    self.header = header + [UInt8](repeating: 0, count: Self.padding(header.count))
  }

  /// Writes the file; a large tensor is never in memory as a whole.
  func write(to output: AtomicOutput, _ pipeline: inout TensorPipeline) throws {
    output.write(header)
    for tensor in tensors {
      try pipeline.pour(tensor, into: output)
      output.write([UInt8](repeating: 0, count: Self.padding(tensor.byteCount)))
    }
  }

  private static func padding(_ byteCount: Int) -> Int { (alignment - byteCount % alignment) % alignment }

  /// Returns the metadata: first the keys that loaders need, then the source's entries and those that the conversion
  /// adds.
  private static func values(
    _ metadata: ConversionMetadata, _ tensors: [PlannedTensor]
  ) -> [(key: String, value: GGUFValue)] {
    let typed = metadata.fromSource
    var values: [(key: String, value: GGUFValue)] = []
    var keys: Set<ExactText> = []
    func add(_ key: String, _ value: GGUFValue) {
      if keys.insert(ExactText(key)).inserted { values.append((key, value)) }
    }
    add(
      "general.architecture",
      typed.first { $0.key == "general.architecture" }?.value ?? .text("unknown"))
    add("general.type", typed.first { $0.key == "general.type" }?.value ?? .text("model"))
    add("general.alignment", .integer("uint32", Int64(alignment)))
    if let fileType = fileType(tensors) { add("general.file_type", .integer("uint32", fileType)) }
    for (key, value) in typed { add(key, value) }
    for (key, value) in metadata.own { add(key, .text(value)) }
    if let record = metadata.record { add(ConvolutionRecord.key, .text(record)) }
    return values
  }

  /// Returns llama.cpp's file type number of the dtype with the most bytes; nil for dtypes without such a number.
  private static func fileType(_ tensors: [PlannedTensor]) -> Int64? {
    var byteCounts: [DType: Int] = [:]
    for tensor in tensors { byteCounts[tensor.dtype, default: 0] += tensor.byteCount }
    let numbers: [DType: Int64] = [.float32: 0, .float16: 1, .bfloat16: 32]
    // Ties are broken by the dtype's name, so that the output is deterministic.
    return byteCounts.max { ($0.value, $0.key.rawValue) < ($1.value, $1.key.rawValue) }.flatMap {
      numbers[$0.key]
    }
  }
}
