internal import DecantBytes
internal import DecantPickle
internal import DecantTensors

/// A storage as a persistent id describes it, before its bytes are looked for.
struct StorageReference {
  /// A part of a storage that is a storage of its own, as PyTorch before 0.4 had them.
  struct View: Equatable {
    let key: String
    /// Bytes from the start of the storage it is a part of.
    let byteOffset: Int
    let byteCount: Int
  }

  let key: String
  let location: String
  /// Bytes by the persistent id's own count; of a view's whole storage.
  let byteCount: Int
  var view: View?
}

extension PickleGraph {
  /// Bytes of a storage's key or location: PyTorch's have some twenty. A text may be shared by any number of ids.
  private static let nameBytes = 4096

  /// The description of a persistent id `('storage', class, key, location, count[, view])`.
  func storageReference(
    _ value: PickleValue
  ) throws(DecantError) -> (StorageReference, StorageTypes.StorageClass) {
    guard case .persistentID(let id) = node(value), let parts = tuple(id) else {
      if case .persistentID(let id) = node(value), text(id)?.hasPrefix("(") == true {
        throw DecantError(
          .unsupportedFormat, "the tensor's storage is given as text, as pickle protocol 0 does",
          remedy: "PyTorch itself cannot load such a file: save it again with the usual protocol.")
      }
      throw DecantError(.damaged, "the tensor's storage is not the persistent id of a storage")
    }
    return try storageReference(of: parts)
  }

  /// The description that the parts of a persistent id give.
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
      throw DecantError(.unsupportedFormat, "the tensor's storage is of no known class (\(name))")
    }
    guard let byteCount = count.checkedMultiplying(by: storageClass.width) else {
      throw DecantError(
        .damaged, "storage \(key.escapedForDisplay) announces \(count) elements, which no memory can hold")
    }
    var reference = StorageReference(key: key, location: location, byteCount: byteCount)
    if parts.count > 5, parts[5] != .none {
      reference.view = try view(parts[5], in: reference, width: storageClass.width)
    }
    return (reference, storageClass)
  }

  /// `(key, offset, count)`, in elements of the storage.
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
        "view \(key.escapedForDisplay) of \(byteCount) bytes at \(byteOffset) reaches beyond storage "
          + "\(reference.key.escapedForDisplay), which holds \(reference.byteCount)",
        remedy: "PyTorch writes no such view: the file is damaged or made to deceive.")
    }
    return StorageReference.View(key: key, byteOffset: byteOffset, byteCount: byteCount)
  }

  /// The key of a persistent id that is one name: an integer, or text that may be one (PyTorch 0.1).
  func persistentName(_ value: PickleValue) -> String? {
    guard case .persistentID(let id) = node(value) else { return nil }
    return name(id)
  }

  /// Text as a name, or an integer: where PyTorch 0.1 expects a number it takes `int(…)` of either.
  func name(_ value: PickleValue, orInteger: Bool = true) -> String? {
    if orInteger, case .int(let number) = value { return String(number) }
    return textByteCount(value) <= Self.nameBytes ? text(value) : nil
  }
}
