internal import DecantBytes

/// The TorchScript code of an archive, and the operators that its text names.
///
/// The code is searched as text and not parsed: an operator is `ops.NAMESPACE.NAME`, as PyTorch's printer writes it.
/// Programs are never clean, so an archive whose calls are missed is still reported.
struct TorchScriptProgram {
  /// Namespaces of the operators of PyTorch and torchvision, which compute.
  private static let namespaces: Set<String> = [
    "aten", "prim", "prims", "quantized", "_quantized", "torchvision", "inductor",
  ]
  /// PyTorch operators that read or write files.
  private static let fileOperators: Set<String> = ["save", "load", "from_file"]
  /// Substrings that name operators which read or write files.
  private static let fileMarkers = ["aten::save", "aten::load", "read_file", "write_file"]

  /// True when an entry marks the archive as a program.
  var isAnnounced = false
  private var fileCount = 0
  private var byteCount = 0
  private var calls: [(place: String, offset: Int, call: String)] = []

  /// Searches one source file. O(length).
  ///
  /// Searches it twice: as the language reads it, and with the content of strings and comments, so that quotes hide no
  /// call.
  mutating func add(_ content: RawSpan, _ place: String) {
    fileCount += 1
    byteCount += content.byteCount
    read(content, place, skipsTexts: true)
    read(content, place, skipsTexts: false)
    for marker in Self.fileMarkers {
      if let found = content.first(Array(marker.utf8), in: 0..<content.byteCount) {
        add(place, found, marker)
      }
    }
  }

  private mutating func add(_ place: String, _ offset: Int, _ call: String) {
    if calls.count < 100 { calls.append((place, offset, call)) }
  }

  /// Reads names joined by dots. White space, line ends and comments may surround a dot.
  private mutating func read(_ content: RawSpan, _ place: String, skipsTexts: Bool) {
    var path: [String] = []
    var start = 0
    var followsDot = false
    var offset = 0
    while let byte = content.byte(offset) {
      if Self.isLetter(byte) {
        var end = offset
        while let next = content.byte(end), Self.isLetter(next) { end += 1 }
        let name = String(decoding: content.copy(offset..<min(end, offset + 100)), as: UTF8.self)
        if followsDot {
          if !path.isEmpty, path.count < 8 { path.append(name) }
        } else {
          judge(path, place, start, isCode: skipsTexts)
          path = [name]
          start = offset
        }
        followsDot = false
        offset = end
      } else if byte <= 0x20 || byte == 0x5C {
        offset += 1
      } else if byte == 0x2E {
        followsDot = true
        offset += 1
      } else if byte == 0x23, skipsTexts {
        while let next = content.byte(offset), next != 0x0A { offset += 1 }
      } else {
        judge(path, place, start, isCode: skipsTexts)
        path = []
        followsDot = false
        offset = skipsTexts && (byte == 0x22 || byte == 0x27) ? Self.textEnd(content, offset) : offset + 1
      }
    }
    judge(path, place, start, isCode: skipsTexts)
  }

  /// Returns the offset where a string literal ends: at its closing quote or triple quote, or at the end of the line.
  private static func textEnd(_ content: RawSpan, _ start: Int) -> Int {
    let quote = content.byte(start) ?? 0
    let isLong = content.byte(start + 1) == quote && content.byte(start + 2) == quote
    var offset = start + (isLong ? 3 : 1)
    while let byte = content.byte(offset) {
      if byte == 0x5C {
        offset += 2
      } else if byte == quote,
        !isLong || content.byte(offset + 1) == quote && content.byte(offset + 2) == quote
      {
        return offset + (isLong ? 3 : 1)
      } else if byte == 0x0A, !isLong {
        return offset
      } else {
        offset += 1
      }
    }
    return offset
  }

  private mutating func judge(_ path: [String], _ place: String, _ offset: Int, isCode: Bool) {
    guard let first = path.first, first == "ops" || first == "torch" else { return }
    let call = path.joined(separator: ".")
    if first == "torch" {
      if path.count > 1 ? Self.fileOperators.contains(path[1]) : isCode { add(place, offset, call) }
      return
    }
    // The module of operators itself can be assigned to another name.
    guard path.count > 2 else {
      if isCode { add(place, offset, call) }
      return
    }
    let touchesFiles = ["read", "write", "video", "save", "load_"].contains { path[2].contains($0) }
    if !Self.namespaces.contains(path[1]) || path[1] == "torchvision" && touchesFiles
      || path[1] == "aten" && Self.fileOperators.contains(path[2]) || path[2].hasPrefix("rpc_")
    {
      add(place, offset, call)
    }
  }

  /// Reports the code and the calls found in it.
  func report(in place: String, _ audit: FileAudit) {
    guard fileCount > 0 || isAnnounced else { return }
    audit.report(
      .unknown, .torchscriptCode, in: place, at: 0,
      "\(Format.count(fileCount, "file")) of TorchScript code, \(Format.count(byteCount, "byte"))")
    for call in calls {
      audit.report(
        .dangerous, .torchscriptCall, in: call.place, at: call.offset,
        "the code calls an operator that no network needs", call: call.call)
    }
  }

  private static func isLetter(_ byte: UInt8) -> Bool {
    byte >= 0x61 && byte <= 0x7A || byte >= 0x41 && byte <= 0x5A || byte >= 0x30 && byte <= 0x39
      || byte == 0x5F
  }
}
