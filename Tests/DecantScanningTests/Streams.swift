import DecantScanning
import TestSupport

/// The bytes of a hand-written pickle. Each Unicode scalar of a literal is one byte.
struct Stream: ExpressibleByStringLiteral, ExpressibleByStringInterpolation, Sendable {
  var bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }
  init(stringLiteral value: String) { bytes = value.unicodeScalars.map { UInt8($0.value) } }

  static func + (left: Stream, right: Stream) -> Stream { Stream(left.bytes + right.bytes) }

  /// The opcode PROTO 4.
  static let proto4 = Stream([0x80, 4])
  /// Returns the opcode GLOBAL.
  static func name(_ module: String, _ name: String) -> Stream { Stream(Array("c\(module)\n\(name)\n".utf8)) }
  /// Returns the opcode SHORT_BINUNICODE.
  static func text(_ text: String) -> Stream { Stream([0x8C, UInt8(text.utf8.count)] + Array(text.utf8)) }
  /// Returns the opcode BINBYTES.
  static func bytes(_ bytes: [UInt8]) -> Stream {
    Stream([0x42] + ZipBuilder.little(UInt32(bytes.count)) + bytes)
  }
  /// Returns two texts and the opcode STACK_GLOBAL.
  static func stackName(_ module: String, _ name: String) -> Stream {
    text(module) + text(name) + Stream([0x93])
  }
  /// Returns the call `getattr(owner, name)`.
  static func attribute(of owner: Stream, _ attribute: String) -> Stream {
    name("__builtin__", "getattr") + owner + text(attribute) + tuple2 + "R"
  }
  /// The opcodes TUPLE1 and TUPLE2.
  static let tuple1 = Stream([0x85])
  static let tuple2 = Stream([0x86])
  /// The opcode NEWOBJ with an empty tuple.
  static let newObject = Stream([0x29, 0x81])

  /// The call `os.system('echo hi')`, then STOP.
  static let call = proto4 + name("os", "system") + text("echo hi") + tuple1 + "R."
  /// A storage of bytes under the key 0, by a persistent id as in torch's files, then STOP.
  static func storage(_ byteCount: Int, key: String = "0") -> Stream {
    proto4 + storageID(byteCount, key: key) + "."
  }
  /// The persistent id of a storage of bytes.
  static func storageID(_ byteCount: Int, key: String = "0", of type: String = "ByteStorage") -> Stream {
    "(" + text("storage") + name("torch", type) + text(key) + text("cpu")
      + Stream([0x4D] + ZipBuilder.little(UInt16(byteCount))) + "tQ"
  }
  /// The empty dictionary `{}`, then STOP.
  static let clean = proto4 + "}."
}

/// Returns a file as `torch.save` before 1.6 wrote it, without storages.
func legacyFile(first: [UInt8]? = nil, object: Stream = "}.") -> [UInt8] {
  let magic: [UInt8] = [0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E]
  // The protocol version 1001, the system's type sizes, the object, and the list of storages.
  return (first ?? magic) + [0x80, 2, 0x4D, 0xE9, 3, 0x2E] + [0x80, 2, 0x7D, 0x2E] + [0x80, 2] + object.bytes
    + [0x80, 2, 0x5D, 0x2E]
}

/// Returns a safetensors file.
func safetensors(_ header: String, data: [UInt8] = []) -> [UInt8] {
  ZipBuilder.little(UInt64(header.utf8.count)) + Array(header.utf8) + data
}

/// Returns a tar archive in the POSIX ustar format.
func tar(_ members: [(name: String, kind: Character, data: [UInt8])]) -> [UInt8] {
  var file: [UInt8] = []
  for member in members {
    var header = [UInt8](repeating: 0, count: 512)
    func put(_ text: String, at offset: Int) {
      header.replaceSubrange(offset..<offset + text.utf8.count, with: text.utf8)
    }
    put(member.name, at: 0)
    let size = String(member.data.count, radix: 8)
    put(String(repeating: "0", count: 11 - size.count) + size, at: 124)
    put(String(member.kind), at: 156)
    put("ustar\u{0}00", at: 257)
    put("        ", at: 148)
    let sum = String(header.reduce(0) { $0 + Int($1) }, radix: 8)
    put(String(repeating: "0", count: 6 - sum.count) + sum + "\u{0} ", at: 148)
    file += header + member.data + [UInt8](repeating: 0, count: (512 - member.data.count % 512) % 512)
  }
  return file + [UInt8](repeating: 0, count: 1024)
}

/// Returns a torch.package archive with one source file.
func package(_ source: String) -> [UInt8] {
  zip(
    ("p/.data/extern_modules", Array("torch\n".utf8)), ("p/.data/version", [0x36, 0x0A]),
    ("p/model/model.pkl", Stream.clean.bytes), ("p/module.py", Array(source.utf8)))
}

/// Returns a `.npy` file of format 1.0.
func npy(_ header: String, _ data: [UInt8]) -> [UInt8] {
  [0x93] + Array("NUMPY".utf8) + [1, 0] + ZipBuilder.little(UInt16(header.utf8.count)) + Array(header.utf8)
    + data
}

/// Returns a zip archive of stored entries.
func zip(_ entries: (String, [UInt8])...) -> [UInt8] {
  ZipBuilder(entries.map { ZipBuilder.Entry($0.0, $0.1) }).bytes
}

/// Returns a zip archive whose entries are changed first, to contradict their data.
func zip(_ entries: [(String, [UInt8])], _ change: (inout [ZipBuilder.Entry]) -> Void) -> [UInt8] {
  var list = entries.map { ZipBuilder.Entry($0.0, $0.1) }
  change(&list)
  return ZipBuilder(list).bytes
}

/// Removes the last entry from the central directory of an archive without a comment. Its local header remains.
func hidingLast(_ file: [UInt8], nameLength: Int) -> [UInt8] {
  let size = 46 + nameLength
  var end = Array(file.suffix(22))
  end[8] -= 1
  end[10] -= 1
  end.replaceSubrange(12..<13, with: [end[12] - UInt8(size)])
  return file.dropLast(22 + size) + end
}
