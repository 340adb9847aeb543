package import DecantBytes
package import DecantCheckpoints
internal import DecantFormats
package import DecantIO
package import DecantTensors

/// A writer of one tensor as a `.npy` file of version 1: row-major, little-endian.
struct NpyWriter {
  private let tensor: PlannedTensor
  private let header: [UInt8]

  /// Plans a file of one tensor.
  ///
  /// - Throws: ``DecantError`` when there are several tensors, or NumPy lacks the dtype.
  init(_ tensors: [PlannedTensor]) throws(DecantError) {
    try NumpyTypes.requireWritable(tensors)
    guard tensors.count == 1, let only = tensors.first else {
      throw DecantError(
        .notRepresentable, "a .npy file holds one array, not \(Format.count(tensors.count, "tensor"))",
        advice: .fitFormat(DecantError.FormatFit(instead: ".npz")))
    }
    tensor = only
    header = NpyHeader.bytes(only.dtype, only.shape)
  }

  /// Writes the file; a large tensor is never in memory as a whole.
  func write(to output: AtomicOutput, _ pipeline: inout TensorPipeline) throws {
    output.write(header)
    try pipeline.pour(tensor, into: output)
  }
}

/// A writer of tensors as an `.npz` archive: a stored entry with a `.npy` file for each tensor, with the data at
/// multiples of 64 bytes.
struct NpzWriter {
  private let tensors: [PlannedTensor]
  private let comment: [UInt8]

  /// - Parameter comment: the archive's comment.
  /// - Throws: ``DecantError`` that lists every tensor the format cannot hold.
  init(_ tensors: [PlannedTensor], comment: [UInt8] = []) throws(DecantError) {
    self.comment = comment
    try NumpyTypes.requireWritable(tensors)
    var refused = RefusedTensors(among: tensors)
    let names = Set(tensors.map { ExactText($0.name) })
    refused.refuse(
      namesOf: tensors.indices { $0.name.utf8.count > 65_000 },
      "a zip entry's name is too short for the name of", isValid: { $0.utf8.count <= 65_000 },
      substitutions: ["s/^(.{100}).{2,}(.{100})$/\\1_\\2/"])
    // Zip readers end a name at a zero byte.
    refused.refuse(
      namesOf: tensors.indices { $0.name.utf8.contains(0) }, "NumPy truncates, at a zero byte, the name of",
      isValid: { !$0.utf8.contains(0) }, substitutions: [#"s/\x00/_/g"#])
    // Programs that extract the archive would write such an entry outside their folder.
    refused.refuse(
      namesOf: tensors.indices { !Self.staysInFolder($0.name) },
      "an archive would be extracted outside its folder because of the name of", isValid: Self.staysInFolder,
      substitutions: [#"s#^[/\\]#_#"#, #"s#\.\.#__#g"#])
    refused.refuse(
      namesOf: tensors.indices {
        $0.name.hasSuffix(".npy") && names.contains(ExactText(String($0.name.dropLast(4))))
      }, "NumPy would find another array by the name of", isValid: { !$0.hasSuffix(".npy") },
      substitutions: [#"s/\.npy$/_npy/"#])
    try refused.finish()
    self.tensors = tensors
  }

  /// Returns true for a name that leads into the folder where an archive is extracted, on any system.
  private static func staysInFolder(_ name: String) -> Bool {
    let parts = name.utf8.split(omittingEmptySubsequences: false) { $0 == 0x2F || $0 == 0x5C }
    return !parts.contains { $0.elementsEqual("..".utf8) } && !(parts.count > 1 && parts[0].isEmpty)
  }

  /// Writes the archive; a large tensor is never in memory as a whole.
  func write(to output: AtomicOutput, _ pipeline: inout TensorPipeline) throws {
    var zip = ZipWriter(output)
    for tensor in tensors {
      let header = NpyHeader.bytes(tensor.dtype, tensor.shape)
      try zip.entry(tensor.name + ".npy", byteCount: header.count + tensor.byteCount) { output in
        // The header's length is a multiple of 64 bytes, so that no element crosses a block boundary of the output.
        output.write(header)
        return try pipeline.pour(tensor, intoEntryOf: output)
          .behind(header, dataByteCount: tensor.byteCount)
      }
    }
    try zip.finish(comment: comment)
  }
}

/// A writer of a folder with one `.npy` file for each tensor, named like the tensor.
///
/// The folder is filled under a temporary name next to the target and then renamed, so it appears complete or not at
/// all.
struct NpyFolderWriter {
  private let tensors: [PlannedTensor]
  private let target: String

  /// - Parameter path: The folder's path, which ends in a slash.
  /// - Throws: ``DecantError`` that lists every tensor the format cannot hold, or whose name cannot be a file name.
  init(_ tensors: [PlannedTensor], _ path: String) throws(DecantError) {
    try NumpyTypes.requireWritable(tensors)
    var refused = RefusedTensors(among: tensors)
    func isValid(_ name: String) -> Bool {
      let name = name.utf8
      return !name.isEmpty && name.count <= 250 && !name.contains(UInt8(ascii: "/")) && !name.contains(0)
        && name.first != UInt8(ascii: ".")
    }
    refused.refuse(
      namesOf: tensors.indices { !isValid($0.name) }, "a file cannot have the name of", isValid: isValid,
      substitutions: [
        "s#/#_#g", #"s/\x00/_/g"#, #"s/^\./_/"#, "s/^$/tensor/", "s/^(.{100}).{2,}(.{100})$/\\1_\\2/",
      ])
    try refused.finish()
    self.tensors = tensors
    target = path
  }

  /// Writes a file for each tensor.
  func write(
    _ policy: OutputPolicy, _ pipeline: inout TensorPipeline
  ) throws -> [(path: String, byteCount: Int)] {
    let folder = try OutputFolder(target)
    var files: [(path: String, byteCount: Int)] = []
    for tensor in tensors {
      let name = tensor.name + ".npy"
      let output = try policy.open(folder.path + "/" + name, named: target + name, holding: tensor.byteCount)
      output.write(NpyHeader.bytes(tensor.dtype, tensor.shape))
      try pipeline.pour(tensor, into: output)
      try policy.complete(output, holding: [tensor])
      try policy.commit(output)
      files.append((target + name, output.byteCount))
    }
    if let record = tensors.layoutRecord {
      let name = ConvolutionRecord.fileName
      let bytes = Array(record.utf8)
      let output = try policy.open(folder.path + "/" + name, named: target + name, holding: bytes.count)
      output.write(bytes)
      try policy.commit(output)
      files.append((target + name, bytes.count))
    }
    try folder.commit(isDurable: policy.isDurable)
    return files
  }
}

extension NumpyTypes {
  /// - Throws: ``DecantError`` that lists every tensor of a dtype that NumPy lacks, or with too many dimensions.
  static func requireWritable(_ tensors: [PlannedTensor]) throws(DecantError) {
    var refused = RefusedTensors(among: tensors)
    refused.refuse(dtypesOf: tensors.indices { code($0.dtype) == nil }, "NumPy cannot store the dtype of")
    // NPY_MAXDIMS of NumPy 2.
    refused.refuse(
      tensors.indices { $0.shape.count > 64 }, "NumPy allows at most 64 dimensions, exceeded by")
    try refused.finish()
  }
}

extension NpyHeader {
  /// Returns the header of a row-major, little-endian array; its length is a multiple of 64 bytes.
  package static func bytes(_ dtype: DType, _ shape: [Int]) -> [UInt8] {
    let sizes = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
    var text = "{'descr': '\(NumpyTypes.code(dtype) ?? "")', 'fortran_order': False, 'shape': (\(sizes)), }"
    text += String(repeating: " ", count: 63 - (10 + text.utf8.count) % 64) + "\n"
    var bytes = FileSignature.npy + [1, 0]
    bytes.appendLittleEndian(UInt16(text.utf8.count))
    return bytes + text.utf8
  }
}

extension NpyArray {
  /// Writes numbers in row-major order as version 1.0, atomically.
  ///
  /// - Parameter sources: The files that were read, which are never overwritten.
  package static func write<T: TensorScalar>(
    _ values: [T], shape: [Int], to path: String, sources: [FileIdentity] = []
  ) throws(DecantError) {
    let output = try AtomicOutput(
      path, holding: values.count * T.dtype.byteCount, overwrite: true, sources: sources)
    output.write(NpyHeader.bytes(T.dtype, shape))
    unsafe values.withUnsafeBytes { unsafe output.write($0) }
    try output.commit()
  }
}
