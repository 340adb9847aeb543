import TestSupport

/// Pickles of protocol 2, built from opcodes, for the tests of old containers.
enum PickleBytes {
  static func stream(_ body: [UInt8]) -> [UInt8] { [0x80, 2] + body + [0x2E] }

  static func global(_ module: String, _ name: String) -> [UInt8] { Array("c\(module)\n\(name)\n".utf8) }

  static func text(_ text: String) -> [UInt8] {
    [0x58] + ZipBuilder.little(UInt32(text.utf8.count)) + Array(text.utf8)
  }

  static func integer(_ value: Int64) -> [UInt8] { [0x8A, 8] + ZipBuilder.little(value) }

  static func tuple(_ parts: [[UInt8]]) -> [UInt8] { [0x28] + parts.joined() + [0x74] }

  static func list(_ parts: [[UInt8]]) -> [UInt8] { [0x5D, 0x28] + parts.joined() + [0x65] }

  static func bytes(_ bytes: [UInt8]) -> [UInt8] { [0x42] + ZipBuilder.little(UInt32(bytes.count)) + bytes }

  /// Returns the persistent ID `('storage', torch.FloatStorage, key, location, count, view)`.
  static func storage(
    _ key: String, count: Int64, view: (key: String, offset: Int64, count: Int64)? = nil,
    kind: [UInt8] = global("torch", "FloatStorage"), location: String = "cpu"
  ) -> [UInt8] {
    let view = view.map { tuple([text($0.key), integer($0.offset), integer($0.count)]) } ?? [0x4E]
    return tuple([text("storage"), kind, text(key), text(location), integer(count), view]) + [0x51]
  }

  /// Returns the call `_rebuild_tensor(storage, 0, (size,), (1,))`.
  static func tensor(_ storage: [UInt8], size: Int64) -> [UInt8] {
    global("torch._utils", "_rebuild_tensor")
      + tuple([storage, integer(0), tuple([integer(size)]), tuple([integer(1)])]) + [0x52]
  }
}
