internal import DecantBytes
internal import DecantCheckpoints
internal import DecantIO
internal import DecantTensors

/// The rules by which a conversion creates, checks and names its output files.
struct OutputPolicy {
  let overwrite: Bool
  let isDurable: Bool
  /// True to read the output back and compare it with the source.
  let checks: Bool
  /// The source files, which must not be overwritten.
  let sources: [FileIdentity]

  /// Creates an output file.
  ///
  /// - Parameters:
  ///   - name: The file's name in messages; by default the path.
  ///   - byteCount: The least number of bytes that the file will have.
  func open(
    _ path: String, named name: String? = nil, holding byteCount: Int
  ) throws(DecantError) -> AtomicOutput {
    try AtomicOutput(path, named: name, holding: byteCount, overwrite: overwrite, sources: sources)
  }

  /// Waits until everything is written, and compares the output with the source if ``checks`` is set.
  func complete(_ output: AtomicOutput, holding tensors: [PlannedTensor]) throws {
    try output.finish()
    if checks { try compare(output, tensors) }
  }

  /// Gives a complete file its name.
  func commit(_ output: AtomicOutput) throws(DecantError) { try output.commit(isDurable: isDurable) }

  /// Reads back a file that has no name yet, and compares it with the source.
  ///
  /// Compares the SHA-256 of every tensor with the source's, and the checksums that the file records with its data.
  /// O(bytes of source and output).
  private func compare(_ output: AtomicOutput, _ tensors: [PlannedTensor]) throws {
    let file = try output.reopened()
    let written = try Checkpoint(file, named: output.path)
    guard written.tensors.count == tensors.count else {
      throw output.mismatch(
        "it has \(Format.count(written.tensors.count, "tensor")), not \(Format.count(tensors.count))")
    }
    let isOne = written.container == .npy
    // A .pth can hold several tensors with the same printed name: they are matched in the plan's order.
    var found: [ExactText: [Tensor]] = [:]
    for entry in written.tensors.reversed() { found[ExactText(entry.name), default: []].append(entry.tensor) }
    for planned in tensors {
      guard
        let tensor = isOne
          ? written.tensors.first?.tensor : found[ExactText(planned.name), default: []].popLast()
      else { throw output.mismatch("it is missing", tensor: planned.name) }
      guard tensor.dtype == planned.dtype, tensor.shape == planned.shape else {
        throw output.mismatch("it is \(tensor.dtype.rawValue) of shape \(tensor.shape)", tensor: planned.name)
      }
      if planned.isMeta, tensor.storage.content == nil { continue }
      guard try tensor.sha256() == planned.sha256() else {
        throw output.mismatch("its values differ", tensor: planned.name)
      }
    }
    let damage =
      try written.damage.first ?? written.damagedRecords(of: written.tensors, stopsAtFirst: true).first
    if let damage { throw output.mismatch(damage.reason, tensor: damage.location.tensor) }
  }
}

extension PlannedTensor {
  /// Returns the SHA-256 of the elements to write, read from the source. O(elements).
  func sha256() throws -> String {
    guard var cast = Cast(tensor, to: dtype) else { return try tensor.sha256() }
    let hash = try SHA256()
    var bytes: [UInt8] = []
    try unsafe tensor.readRowMajor { elements in
      bytes = [UInt8](repeating: 0, count: elements.count / tensor.dtype.byteCount * dtype.byteCount)
      unsafe bytes.withUnsafeMutableBytes { target in
        unsafe cast.convert(UnsafeRawBufferPointer(elements), into: target)
        unsafe hash.update(UnsafeRawBufferPointer(target))
      }
    }
    return hash.finish()
  }
}
