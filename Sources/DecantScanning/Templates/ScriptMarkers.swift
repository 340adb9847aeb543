internal import DecantBytes

/// Markers that occur only in scripts.
enum ScriptMarkers {
  private static let markers = [
    "<script", "javascript:", "#!/", "import os", "import sys", "import subprocess", "from os import",
    "__import__",
    "eval(", "exec(", "os.system", "os.popen", "subprocess.", "pickle.loads", "__globals__", "__subclasses__",
    "__builtins__", "/bin/sh", "/bin/bash", "powershell", "data:text/html", "data:application/", "<iframe",
    "onerror=",
  ].map { Array($0.utf8) }

  /// Returns a marker that a text contains, and its offset, ignoring case. O(length × markers).
  static func first(in text: [UInt8]) -> (text: String, offset: Int)? {
    let lowered = text.map { 0x41...0x5A ~= $0 ? $0 | 0x20 : $0 }
    let bytes = unsafe lowered.span.bytes
    for marker in markers {
      if let offset = bytes.first(marker, in: 0..<bytes.byteCount) {
        return (String(decoding: marker, as: UTF8.self), offset)
      }
    }
    return nil
  }
}
