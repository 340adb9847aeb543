package import DecantBytes
/// A byte buffer that tensors are views of.
///
/// Storages are compared by identity: two tensors can alias only when they share one.
package final class Storage: Sendable {
  /// The byte order of one number.
  package enum ByteOrder: String, Sendable {
    case little, big
  }

  /// The storage's key in the file, such as `0`.
  package let key: String
  /// The device that the storage was saved from: `cpu`, `cuda:0`.
  package let location: String
  package let byteOrder: ByteOrder
  /// The bytes; nil for storages without data (the `meta` device).
  package let content: (any StorageContent)?
  /// The archive entry that holds the storage, for messages.
  package let entry: String?
  /// The number of bytes.
  package let byteCount: Int
  /// The storage that this one is a part of, as in files of PyTorch before 0.4; nil for a whole storage.
  package let root: Storage?
  /// The offset in the root storage, in bytes.
  package let rootOffset: Int

  /// Describes a storage without reading it.
  package init(
    key: String, location: String = "cpu", byteOrder: ByteOrder = .little, byteCount: Int,
    content: (any StorageContent)?, entry: String? = nil, root: Storage? = nil, rootOffset: Int = 0
  ) {
    self.key = key
    self.location = location
    self.byteOrder = byteOrder
    self.byteCount = byteCount
    self.root = root
    self.rootOffset = rootOffset
    self.content = content
    self.entry = entry
  }
}
