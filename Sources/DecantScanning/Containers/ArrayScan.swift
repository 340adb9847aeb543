internal import DecantBytes
internal import DecantPickle

/// Scans of formats other than pickle: NumPy arrays, safetensors and GGUF.
extension ContentScan {
  /// Scans an `.npy` file: a header in Python's notation, then numbers, or a pickle when the elements are objects.
  ///
  /// Source: NumPy's format 1.0 to 3.0, `numpy/lib/_format_impl.py`.
  func scanNpy(_ bytes: RawSpan, in place: String) -> Bool {
    guard let major = bytes.byte(6), major >= 1, major <= 3 else { return false }
    let start = major == 1 ? 10 : 12
    let count =
      major == 1 ? bytes.little(UInt16.self, 8).map(Int.init) : bytes.little(UInt32.self, 8).map(Int.init)
    guard let count, count <= bytes.byteCount - start, count <= audit.limits.headerBytes else { return false }
    audit.judge(byteCount: count)
    // NumPy refuses headers of more than 10,000 bytes, and the check of a type is not cheap.
    guard audit.spend(count > 1 << 16 ? count : 0) else { return true }
    let header = String(decoding: bytes.copy(start..<start + count), as: UTF8.self)
    // NumPy evaluates the header, so a hostile file can write it in ways that no writer does.
    let isUsual = header.utf8.first == 0x7B && header.contains("descr")
    guard !isUsual || Self.holdsObjects(header) else { return true }
    let content = bytes.part(start + count..<bytes.byteCount)
    let scan = inside(as: .pickle)
    if scan.region(content, in: place, { $0.scanPickles(content, in: place) ? true : nil }) == nil {
      audit.report(
        .unknown, .brokenPickle, in: place, at: start + count, "an array of Python objects without its pickle"
      )
    }
    return true
  }

  /// Returns true when a header's dtype is or contains the object type, such as `'|O'` or `'object'`, also in a field.
  ///
  /// The header is in Python's notation. Escapes and adjacent string literals, which Python joins, could hide the
  /// object type, and comments can hide quotes. No writer uses any of these, so they count as the object type.
  private static func holdsObjects(_ header: String) -> Bool {
    var text: [UInt8] = []
    var quote: UInt8?
    // True while only white space follows the last string literal.
    var followsText = false
    for byte in header.utf8 {
      if byte == 0x5C { return true }
      if let open = quote {
        if byte == open {
          if namesObjects(text) { return true }
          quote = nil
          followsText = true
        } else {
          text.append(byte)
        }
      } else if byte == 0x27 || byte == 0x22 {
        if followsText { return true }
        quote = byte
        text = []
      } else if byte == 0x23 {
        return true
      } else if byte > 0x20 {
        followsText = false
      }
    }
    return false
  }

  /// Returns true when a dtype string is or contains the object type: an O after the start, a byte order, a count or a
  /// comma, and before digits, a comma or the end.
  private static func namesObjects(_ text: [UInt8]) -> Bool {
    if String(decoding: text, as: UTF8.self).lowercased().contains("object") { return true }
    for (place, byte) in text.enumerated() where byte == 0x4F {
      let before = place == 0 ? 0x2C : text[place - 1]
      let after = text[(place + 1)...].first { !(0x30...0x39 ~= $0) } ?? 0x2C
      if after == 0x2C || after == 0x20,
        [0x7C, 0x3C, 0x3E, 0x3D, 0x2C, 0x29, 0x20].contains(before) || 0x30...0x39 ~= before
      {
        return true
      }
    }
    return false
  }

  /// Scans a safetensors file: a JSON header of names and data offsets, then numbers.
  func scanSafetensors(_ bytes: RawSpan, in place: String) -> Bool {
    guard let length = bytes.little(UInt64.self, 0), let count = Int(exactly: length), count >= 2,
      count <= bytes.byteCount - 8
    else { return false }
    guard count <= audit.limits.headerBytes else {
      guard count <= 100_000_000 else { return false }
      audit.report(
        .unknown, .limit, in: place, at: 0, "a header of \(Format.count(count, "byte")), too long to scan")
      return true
    }
    audit.judge(byteCount: count)
    guard audit.spend(count / 2) else { return true }
    let header: JSONValue
    do throws(ParsingError) { header = try JSONValue(parsing: bytes.part(8..<8 + count)) } catch {
      return false
    }
    guard case .object(let members) = header else { return false }
    var last = 0
    for (name, entry) in members {
      if name == "__metadata__" {
        scanMetadata(entry, in: place)
      } else {
        guard let offsets = entry["data_offsets"]?.array, offsets.count == 2, let end = offsets[1].size else {
          return false
        }
        last = max(last, end)
      }
    }
    guard let end = last.checkedAdding(8 + count), end <= bytes.byteCount else {
      audit.report(.unknown, .brokenPickle, in: place, at: 0, "the data ends before the header says")
      return true
    }
    reportTrailing(bytes, from: end, in: place)
    return true
  }

  private func scanMetadata(_ metadata: JSONValue, in place: String) {
    guard case .object(let members) = metadata else { return }
    for (key, value) in members {
      guard let text = value.string, let marker = ScriptMarkers.first(in: text) else { continue }
      audit.report(
        .unknown, .metadataScript, in: place, at: 8,
        "the metadata \(String(key.prefix(80)).escapedForDisplay) holds \(marker.escapedForDisplay)")
    }
  }

  /// Scans a GGUF file: keys and values, then numbers. Only text that contains a script matters.
  func scanGGUF(_ bytes: RawSpan, in place: String) -> Bool {
    guard let version = bytes.little(UInt32.self, 4), version >= 1, version <= 3, bytes.byteCount >= 24 else {
      return false
    }
    // The keys and values come first, and a chat template takes a few kilobytes.
    let head = String(decoding: bytes.part(0..<1 << 20).all, as: UTF8.self)
    if let marker = ScriptMarkers.first(in: head) {
      audit.report(
        .unknown, .metadataScript, in: place, at: 0, "the metadata holds \(marker.escapedForDisplay)")
    }
    return true
  }
}

/// Markers that occur only in scripts.
enum ScriptMarkers {
  private static let markers = [
    "<script", "javascript:", "#!/", "import os", "import sys", "import subprocess", "from os import",
    "__import__",
    "eval(", "exec(", "os.system", "os.popen", "subprocess.", "pickle.loads", "__globals__", "__subclasses__",
    "__builtins__", "/bin/sh", "/bin/bash", "powershell", "data:text/html", "data:application/", "<iframe",
    "onerror=",
  ].map { Array($0.utf8) }

  /// Returns the first marker that a text contains, ignoring case. O(length × markers).
  static func first(in text: String) -> String? {
    let lowered = text.utf8.map { 0x41...0x5A ~= $0 ? $0 | 0x20 : $0 }
    let bytes = unsafe lowered.span.bytes
    for marker in markers where bytes.first(marker, in: 0..<bytes.byteCount) != nil {
      return String(decoding: marker, as: UTF8.self)
    }
    return nil
  }
}
