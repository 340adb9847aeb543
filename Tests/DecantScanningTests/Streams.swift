import DecantScanning
import TestSupport

/// Bytes of a hand-written pickle: each scalar is the byte of that number.
struct Stream: ExpressibleByStringLiteral, ExpressibleByStringInterpolation, Sendable {
  var bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }
  init(stringLiteral value: String) { bytes = value.unicodeScalars.map { UInt8($0.value) } }

  static func + (left: Stream, right: Stream) -> Stream { Stream(left.bytes + right.bytes) }

  /// PROTO 4.
  static let proto4 = Stream([0x80, 4])
  /// GLOBAL.
  static func name(_ module: String, _ name: String) -> Stream { Stream(Array("c\(module)\n\(name)\n".utf8)) }
  /// SHORT_BINUNICODE.
  static func text(_ text: String) -> Stream { Stream([0x8C, UInt8(text.utf8.count)] + Array(text.utf8)) }
  /// BINBYTES.
  static func bytes(_ bytes: [UInt8]) -> Stream {
    Stream([0x42] + ZipBuilder.little(UInt32(bytes.count)) + bytes)
  }
  /// STACK_GLOBAL of two texts.
  static func stackName(_ module: String, _ name: String) -> Stream {
    text(module) + text(name) + Stream([0x93])
  }
  /// `getattr(owner, name)`.
  static func attribute(of owner: Stream, _ attribute: String) -> Stream {
    name("__builtin__", "getattr") + owner + text(attribute) + tuple2 + "R"
  }
  /// TUPLE1, TUPLE2 of what stands before.
  static let tuple1 = Stream([0x85])
  static let tuple2 = Stream([0x86])
  /// NEWOBJ with an empty tuple.
  static let newObject = Stream([0x29, 0x81])

  /// `os.system('echo hi')`, and STOP.
  static let call = proto4 + name("os", "system") + text("echo hi") + tuple1 + "R."
  /// `{}`.
  static let clean = proto4 + "}."
}

/// The files of `torch.save` before 1.6, without storages.
func legacyFile(first: [UInt8]? = nil, object: Stream = "}.") -> [UInt8] {
  let magic: [UInt8] = [0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E]
  // 1001, the system's sizes, the object, the list of storages.
  return (first ?? magic) + [0x80, 2, 0x4D, 0xE9, 3, 0x2E] + [0x80, 2, 0x7D, 0x2E] + [0x80, 2] + object.bytes
    + [0x80, 2, 0x5D, 0x2E]
}

/// A safetensors file without tensors.
func safetensors(_ header: String, data: [UInt8] = []) -> [UInt8] {
  ZipBuilder.little(UInt64(header.utf8.count)) + Array(header.utf8) + data
}

/// A tar archive of POSIX's ustar format.
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
    file += header + member.data + [UInt8](repeating: 0, count: (512 - member.data.count % 512) % 512)
  }
  return file + [UInt8](repeating: 0, count: 1024)
}

/// An archive of torch.package with one source.
func package(_ source: String) -> [UInt8] {
  zip(
    ("p/.data/extern_modules", Array("torch\n".utf8)), ("p/.data/version", [0x36, 0x0A]),
    ("p/model/model.pkl", Stream.clean.bytes), ("p/module.py", Array(source.utf8)))
}

/// A `.npy` file of format 1.0.
func npy(_ header: String, _ data: [UInt8]) -> [UInt8] {
  [0x93] + Array("NUMPY".utf8) + [1, 0] + ZipBuilder.little(UInt16(header.utf8.count)) + Array(header.utf8)
    + data
}

/// A zip file of entries, stored.
func zip(_ entries: (String, [UInt8])...) -> [UInt8] {
  ZipBuilder(entries.map { ZipBuilder.Entry($0.0, $0.1) }).bytes
}

/// A zip file of entries that may lie.
func zip(_ entries: [(String, [UInt8])], _ change: (inout [ZipBuilder.Entry]) -> Void) -> [UInt8] {
  var list = entries.map { ZipBuilder.Entry($0.0, $0.1) }
  change(&list)
  return ZipBuilder(list).bytes
}

/// Takes the last entry off the directory of an archive without comment; its local header stays.
func hidingLast(_ file: [UInt8], nameLength: Int) -> [UInt8] {
  let size = 46 + nameLength
  var end = Array(file.suffix(22))
  end[8] -= 1
  end[10] -= 1
  end.replaceSubrange(12..<13, with: [end[12] - UInt8(size)])
  return file.dropLast(22 + size) + end
}
