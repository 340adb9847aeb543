internal import ByteParsing

/// The programs of a TorchScript archive, as far as their text tells what they call.
///
/// It reads text, not the language: an operator is `ops.NAMESPACE.NAME`, as PyTorch's printer writes them. Programs
/// are never clean, so what it misses is still reported.
struct TorchScriptProgram {
  /// Operators of PyTorch itself and of its vision library, which compute.
  private static let namespaces: Set<String> = [
    "aten", "prim", "prims", "quantized", "_quantized", "torchvision", "inductor",
  ]
  /// Calls that read or write files.
  private static let calls = [
    "torch.save(", "torch.load(", "from_file(", "aten::save", "aten::load", "aten.save(", "read_file",
    "write_file",
  ]

  /// Whether an entry says that the archive is a program.
  var isAnnounced = false
  private var fileCount = 0
  private var byteCount = 0
  private var calls: [(place: String, offset: Int, call: String)] = []

  /// Reads one file of code; O(length).
  mutating func add(_ content: RawSpan, _ place: String) {
    fileCount += 1
    byteCount += content.byteCount
    var offset = 0
    let marker = Array("ops.".utf8)
    while calls.count < 100, let found = content.first(marker, in: offset..<content.byteCount) {
      offset = found + marker.count
      if let before = content.byte(found - 1), Self.isLetter(before) { continue }
      var end = offset
      while let byte = content.byte(end), Self.isLetter(byte) || byte == 0x2E, end - offset < 100 { end += 1 }
      let name = String(decoding: content.copy(offset..<end), as: UTF8.self)
      let parts = name.split(separator: ".")
      guard parts.count > 1 else { continue }
      let touchesFiles = ["read", "write", "video", "save", "load_"].contains { parts[1].contains($0) }
      if !Self.namespaces.contains(String(parts[0])) || parts[0] == "torchvision" && touchesFiles {
        calls.append((place, found, "ops." + name))
      }
    }
    for call in Self.calls {
      if let found = content.first(Array(call.utf8), in: 0..<content.byteCount) {
        calls.append((place, found, call.last == "(" ? call + "…)" : call))
      }
    }
  }

  /// Reports what was read.
  func report(in place: String, _ audit: FileAudit) {
    guard fileCount > 0 || isAnnounced else { return }
    audit.report(
      .unknown, .torchscriptCode, in: place, at: 0,
      "\(fileCount) file\(fileCount == 1 ? "" : "s") of TorchScript code, \(byteCount) bytes")
    for call in calls {
      audit.report(
        .dangerous, .torchscriptCall, in: call.place, at: call.offset,
        "the code calls what no network needs", call: call.call)
    }
  }

  private static func isLetter(_ byte: UInt8) -> Bool {
    byte >= 0x61 && byte <= 0x7A || byte >= 0x41 && byte <= 0x5A || byte >= 0x30 && byte <= 0x39
      || byte == 0x5F
  }
}
