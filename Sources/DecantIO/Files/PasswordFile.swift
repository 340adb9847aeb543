package import DecantBytes

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// A file with a password. A command line shows its arguments to every user of the machine, so a password is not one.
package enum PasswordFile {
  /// The largest number of bytes of a password.
  private static let largest = 1_024

  /// Returns the first line of a file without its line break. The file may be a pipe.
  ///
  /// - Throws: ``DecantError`` when the file cannot be read, or its first line is not a password.
  package static func firstLine(of path: String) throws(DecantError) -> String {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .system(errno, .reading(errno), "cannot be opened", file: path) }
    defer { close(descriptor) }
    var line: [UInt8] = []
    var byte: UInt8 = 0
    while true {
      let count = next(&byte, from: descriptor)
      guard count >= 0 else { throw .system(errno, .reading(errno), "cannot be read", file: path) }
      guard count > 0, byte != UInt8(ascii: "\n") else { break }
      guard line.count < largest else {
        throw refusal("the first line is longer than \(largest) bytes", path)
      }
      line.append(byte)
    }
    if line.last == UInt8(ascii: "\r") { line.removeLast() }
    guard !line.isEmpty else { throw refusal("the first line is empty", path) }
    guard !line.contains(0), let password = String(validating: line, as: UTF8.self) else {
      throw refusal("the first line is not text", path)
    }
    return password
  }

  private static func next(_ byte: inout UInt8, from descriptor: Int32) -> Int {
    while true {
      let count = unsafe read(descriptor, &byte, 1)
      guard count < 0, errno == EINTR else { return count }
    }
  }

  private static func refusal(_ reason: String, _ path: String) -> DecantError {
    DecantError(
      .invalidArgument, reason, file: path, remedy: "Write the password into the first line of the file.")
  }
}
