internal import DecantBytes
internal import DecantIO
internal import DecantTensors

/// How the files of a conversion come into being.
struct OutputPolicy {
  let overwrite: Bool
  let isDurable: Bool
  /// Whether what was written is read and compared with the source.
  let checks: Bool
  /// The files that are read, which must not be written.
  let sources: [FileIdentity]

  /// Begins a file.
  ///
  /// - Parameters:
  ///   - name: what messages call it; by default the path.
  ///   - byteCount: how many bytes it will have at least.
  func open(
    _ path: String, named name: String? = nil, holding byteCount: Int
  ) throws(DecantError) -> AtomicOutput {
    try AtomicOutput(path, named: name, holding: byteCount, overwrite: overwrite, sources: sources)
  }

  /// Waits until everything is written, and compares it with the source where that was asked for.
  func complete(_ output: AtomicOutput, holding tensors: [PlannedTensor]) throws {
    try output.finish()
    if checks { try compare(output, tensors) }
  }

  /// Gives a complete file its name.
  func commit(_ output: AtomicOutput) throws(DecantError) { try output.commit(isDurable: isDurable) }

  /// Reads a file that has no name yet, as anybody would, and compares the SHA-256 of every tensor with that of the source,
  /// and the checksums it records with its data. O(bytes), of both.
  private func compare(_ output: AtomicOutput, _ tensors: [PlannedTensor]) throws {
    let file = try output.reopened()
    let written = try Checkpoint(file, named: output.path)
    guard written.tensors.count == tensors.count else {
      throw output.mismatch("\(written.tensors.count) tensors are there, not \(tensors.count)")
    }
    let isOne = written.container == .npy
    // Of one name there may be several where objects keep them apart: those come in the order of the plan.
    var found: [ExactText: [Tensor]] = [:]
    for entry in written.tensors.reversed() { found[ExactText(entry.name), default: []].append(entry.tensor) }
    for planned in tensors {
      guard
        let tensor = isOne
          ? written.tensors.first?.tensor : found[ExactText(planned.name), default: []].popLast()
      else { throw output.mismatch("it is not there", tensor: planned.name) }
      guard tensor.dtype == planned.dtype, tensor.shape == planned.shape else {
        throw output.mismatch("it is \(tensor.dtype.rawValue) of shape \(tensor.shape)", tensor: planned.name)
      }
      if planned.isMeta, tensor.storage.content == nil { continue }
      guard try tensor.sha256() == planned.sha256() else {
        throw output.mismatch("its numbers are others", tensor: planned.name)
      }
    }
    let damage =
      try written.damage.first ?? written.damagedRecords(of: written.tensors, stopsAtFirst: true).first
    if let damage { throw output.mismatch(damage.reason, tensor: damage.location.tensor) }
  }
}

extension PlannedTensor {
  /// The SHA-256 of the elements that are to be written, read from the source. O(elements).
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
