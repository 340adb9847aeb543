internal import DecantBytes

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// A path in the file system: bytes, which need not be UTF-8 and may be more than the kernel accepts in one call.
package struct FilePath: Sendable, Equatable {
  package let bytes: [UInt8]

  package init(_ text: String) { bytes = Array(text.utf8) }

  package init(bytes: [UInt8]) { self.bytes = bytes }

  /// The path as text. Bytes that are not UTF-8 are spelled `\xff`; such a text opens no file.
  package var text: String { spelled { $0 } }

  /// The path as text that opens the file; nil when the bytes are not UTF-8.
  package var validText: String? { String(validating: bytes, as: UTF8.self) }

  /// The path as text, with a replacement character for what is not UTF-8; such a text opens no file.
  var repairedText: String { String(decoding: bytes, as: UTF8.self) }

  /// The path for people, with control characters escaped.
  package var escapedForDisplay: String { spelled(\.escapedForDisplay) }

  private func spelled(_ spell: (String) -> String) -> String {
    var result = ""
    var rest = bytes[...]
    while !rest.isEmpty {
      // The longest start that is UTF-8, and the byte after it, which is not.
      var valid = ""
      var decoder = UTF8()
      var iterator = rest.makeIterator()
      while case .scalarValue(let scalar) = decoder.decode(&iterator) { valid.unicodeScalars.append(scalar) }
      result += spell(valid)
      rest = rest.dropFirst(valid.utf8.count)
      if let byte = rest.popFirst() { result += "\\x" + String(byte, radix: 16) }
    }
    return result
  }

  /// Returns the path of an entry of this folder.
  func appending(_ name: [UInt8]) -> FilePath {
    FilePath(bytes: bytes.last == 0x2F ? bytes + name : bytes + [0x2F] + name)
  }

  /// The most bytes of a path that a system call accepts, without the final NUL.
  private static let longest = 4_000

  /// Calls a system call with a folder's descriptor and the path relative to it. Folders above are opened one after the
  /// other when the path is too long. Returns -1, with `errno` set, when one of them cannot be opened.
  func withSystemPath(_ call: (_ folder: Int32, _ path: UnsafePointer<CChar>) -> Int32) -> Int32 {
    var folder = AT_FDCWD
    var rest = bytes[...]
    defer { if folder != AT_FDCWD { close(folder) } }
    while rest.count > Self.longest {
      guard let slash = rest.prefix(Self.longest).lastIndex(of: 0x2F), slash > rest.startIndex else {
        errno = ENAMETOOLONG
        return -1
      }
      let next = unsafe Self.withText(rest[..<slash]) { path in
        unsafe openat(folder, path, Descriptors.inspection | O_DIRECTORY | O_CLOEXEC)
      }
      guard next >= 0 else { return -1 }
      if folder != AT_FDCWD { close(folder) }
      folder = next
      rest = rest[slash...].drop { $0 == 0x2F }
    }
    return unsafe Self.withText(rest) { unsafe call(folder, $0) }
  }

  private static func withText(_ bytes: ArraySlice<UInt8>, _ body: (UnsafePointer<CChar>) -> Int32) -> Int32 {
    let text = bytes.map { CChar(bitPattern: $0) } + [0]
    return unsafe text.withUnsafeBufferPointer { unsafe body($0.baseAddress!) }
  }
}
