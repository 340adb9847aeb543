internal import DecantBytes
internal import DecantPickle

/// The first bytes of the formats that are read.
package enum FileSignature {
  /// The first bytes of every `.npy` file.
  package static let npy: [UInt8] = [0x93] + Array("NUMPY".utf8)
  /// The first bytes of every GGUF file.
  package static let gguf = Array("GGUF".utf8)
  /// The integer of the first pickle: 0x1950a86a20f9469cfc6c, little-endian.
  package static let torchLegacy: [UInt8] = [0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]

  /// Returns true when a file begins like a safetensors file: a plausible header length, then `{`.
  package static func isSafetensors(_ head: [UInt8], fileByteCount: Int) -> Bool {
    guard head.count >= 9, head[8] == UInt8(ascii: "{") else { return false }
    let length = head.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    return length >= 2 && length <= 1 << 40
  }

  /// Returns true when a file begins with the pickle of the magic number, in any protocol.
  static func isTorchLegacy(_ head: [UInt8]) -> Bool {
    guard let graph = try? PickleMachine.interpret(unsafe head.span.bytes) else { return false }
    if case .longInteger(torchLegacy) = graph.node(graph.root) { return true }
    return false
  }
}
