/// A run of bytes that tensors are views of.
///
/// Storages are compared by identity: two tensors alias when they share one.
public final class Storage: Sendable {
  /// The order of the bytes of one number.
  public enum ByteOrder: String, Sendable {
    case little, big
  }

  /// The name the file gives it, such as `0`.
  public let key: String
  /// The device it was saved from: `cpu`, `cuda:0`.
  public let location: String
  public let byteOrder: ByteOrder
  /// The bytes; nil for storages without data (the `meta` device).
  public let content: (any StorageContent)?
  /// The file's entry that holds it, for messages.
  public let entry: String?
  /// How many bytes it has.
  public let byteCount: Int
  /// The storage that this one is a part of: PyTorch before 0.4 had such.
  public let root: Storage?
  /// Where it begins in its root, in bytes.
  public let rootOffset: Int

  /// Describes a storage; reads nothing.
  public init(
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
