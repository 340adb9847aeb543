package import DecantBytes
package import DecantTensors

extension Checkpoint {
  /// Throws when reading all of some tensors takes far more bytes than the storages that they are read from have, as with
  /// thousands of tensors of stride 0. Each alone is within the limits.
  ///
  /// - Parameter byteCount: the number of bytes that are read or written.
  /// - Throws: ``DecantError`` with the code `limitExceeded`.
  package func requireModestSize(_ byteCount: Int, of tensors: [Tensor]) throws(DecantError) {
    guard byteCount > limits.expansionFloor else { return }
    var seen: Set<ObjectIdentifier> = []
    var stored = 0
    for source in tensors.flatMap(\.sources)
    where seen.insert(ObjectIdentifier(source.storage)).inserted {
      stored = stored.checkedAdding(source.storage.byteCount) ?? .max
    }
    let factor = byteCount.dividedRoundingUp(by: stored)
    guard factor > limits.expansion else { return }
    throw DecantError(
      limits.exceeded(\.expansion, need: factor),
      "the tensors expand \(Format.count(stored, "stored byte")) to \(Format.count(byteCount)), \(factor) times as many",
      file: path)
  }
}
