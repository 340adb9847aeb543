internal import Glibc

/// A new folder, in memory where the system allows, that is removed with its files on deinitialisation.
final class ScratchFolder {
  let path: String
  private var files: Set<String> = []

  init?() {
    let place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
    var template = Array("\(place)/decant-fuzz-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { return nil }
    path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
  }

  /// Extracts the members of a tar archive; nil when there are none.
  convenience init?(tar bytes: [UInt8]) {
    let members = TarMember.all(in: bytes)
    guard !members.isEmpty else { return nil }
    self.init()
    for member in members {
      // Use only the last path component, since extraction is not under test and must not write elsewhere.
      let name = String(member.name.split(separator: "/").last ?? "")
      if !["", ".", ".."].contains(name) { write(member.data, to: file(name)) }
    }
  }

  /// The paths of the files, in the order of their names.
  var paths: [String] { files.sorted() }

  /// Returns the path of a file that is removed with the folder if it exists then.
  func file(_ name: String) -> String {
    files.insert(path + "/" + name)
    return path + "/" + name
  }

  private func write(_ bytes: [UInt8], to path: String) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { return }
    _ = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    close(descriptor)
  }

  deinit {
    for file in files { unlink(file) }
    rmdir(path)
  }
}
