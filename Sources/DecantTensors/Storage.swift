package import DecantBytes
/// A run of bytes that tensors are views of.
///
/// Storages are compared by identity: two tensors alias when they share one.
package final class Storage: Sendable {
  /// The order of the bytes of one number.
  package enum ByteOrder: String, Sendable {
    case little, big
  }

  /// The name the file gives it, such as `0`.
  package let key: String
  /// The device it was saved from: `cpu`, `cuda:0`.
  package let location: String
  package let byteOrder: ByteOrder
  /// The bytes; nil for storages without data (the `meta` device).
  package let content: (any StorageContent)?
  /// The file's entry that holds it, for messages.
  package let entry: String?
  /// How many bytes it has.
  package let byteCount: Int
  /// The storage that this one is a part of: PyTorch before 0.4 had such.
  package let root: Storage?
  /// Where it begins in its root, in bytes.
  package let rootOffset: Int

  /// Describes a storage; reads nothing.
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
