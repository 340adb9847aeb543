internal import DecantBytes
package import DecantPickle
internal import DecantTensors

/// A storage as its persistent ID describes it, before its bytes are located.
struct StorageReference {
  /// A part of a storage with a key of its own, as PyTorch before 0.4 had.
  package struct View: Equatable {
    package let key: String
    /// The byte offset from the start of the storage that this is a part of.
    package let byteOffset: Int
    package let byteCount: Int
  }

  let key: String
  let location: String
  /// The number of bytes by the persistent ID's own element count. For a view, it is that of the whole storage.
  let byteCount: Int
  var view: View?
}

extension PickleGraph {
  /// The largest number of bytes of a storage's key or location. PyTorch's have about twenty. The limit matters
  /// because any number of IDs can share one text.
  private static let nameBytes = 4096

  /// Returns the storage that a persistent ID `('storage', class, key, location, count[, view])` describes.
  func storageReference(
    _ value: PickleValue
  ) throws(DecantError) -> (StorageReference, StorageTypes.StorageClass) {
    guard case .persistentID(let id) = node(value), let parts = tuple(id) else {
      if case .persistentID(let id) = node(value), text(id)?.hasPrefix("(") == true {
        throw DecantError(
          .unsupportedFormat, "the tensor's storage is given as text, as pickle protocol 0 does",
          remedy: "PyTorch cannot load it either. Save it again with the default protocol.")
      }
      throw DecantError(.damaged, "the tensor's storage is not the persistent id of a storage")
    }
    return try storageReference(of: parts)
  }

  /// Returns the storage that the elements of a persistent ID describe.
  func storageReference(
    of parts: [PickleValue]
  ) throws(DecantError) -> (StorageReference, StorageTypes.StorageClass) {
    guard parts.count >= 5, isText(parts[0], "storage"), let key = name(parts[2]),
      let location = name(parts[3], orInteger: false), case .int(let count) = parts[4],
      let count = Int(exactly: count),
      count >= 0
    else { throw DecantError(.damaged, "the tensor's storage is not the persistent id of a storage") }
    guard let global = global(parts[1]), let storageClass = StorageTypes.storageClass(global) else {
      let name = global(parts[1])?.qualifiedName.escapedForDisplay ?? "no name"
      throw DecantError(.unsupportedFormat, "the tensor's storage has an unknown class (\(name))")
    }
    guard let byteCount = count.checkedMultiplying(by: storageClass.width) else {
      throw DecantError(
        .damaged, "storage \(key.escapedForDisplay) has \(Format.count(count, "element")), which is too large"
      )
    }
    var reference = StorageReference(key: key, location: location, byteCount: byteCount)
    if parts.count > 5, parts[5] != .none {
      reference.view = try view(parts[5], in: reference, width: storageClass.width)
    }
    return (reference, storageClass)
  }

  /// Returns a view, given as `(key, offset, count)`. Offset and count are in elements of the storage.
  private func view(
    _ value: PickleValue, in reference: StorageReference, width: Int
  ) throws(DecantError) -> StorageReference.View {
    guard let parts = tuple(value), parts.count == 3, let key = name(parts[0], orInteger: false),
      case .int(let offset) = parts[1], case .int(let count) = parts[2], offset >= 0, count >= 0,
      let byteOffset = Int(exactly: offset)?.checkedMultiplying(by: width),
      let byteCount = Int(exactly: count)?.checkedMultiplying(by: width)
    else {
      throw DecantError(
        .damaged, "the view of storage \(reference.key.escapedForDisplay) is not a key, an offset and a count"
      )
    }
    guard let end = byteOffset.checkedAdding(byteCount), end <= reference.byteCount else {
      throw DecantError(
        .damaged,
        "view \(key.escapedForDisplay) of \(Format.count(byteCount, "byte")) at \(byteOffset) reaches beyond storage "
          + "\(reference.key.escapedForDisplay), which holds \(reference.byteCount)",
        remedy: "The file is damaged or malicious.")
    }
    return StorageReference.View(key: key, byteOffset: byteOffset, byteCount: byteCount)
  }

  /// Returns the key of a persistent ID that is a single name: an integer, or text that may be an integer (PyTorch
  /// 0.1).
  func persistentName(_ value: PickleValue) -> String? {
    guard case .persistentID(let id) = node(value) else { return nil }
    return name(id)
  }

  /// Returns a text, or an integer as text. Where PyTorch 0.1 expects a number, it calls `int(…)` on either.
  package func name(_ value: PickleValue, orInteger: Bool = true) -> String? {
    if orInteger, case .int(let number) = value { return String(number) }
    return textByteCount(value) <= Self.nameBytes ? text(value) : nil
  }
}
