internal import Glibc

/// A folder with the files of a tar archive, removed when it is let go.
final class UnpackedFolder {
  let path: String
  private var files: [String] = []

  /// Unpacks members into a new folder, in memory where the system has such a place; nil when there are none.
  init?(tar bytes: [UInt8]) {
    let members = TarMember.all(in: bytes)
    guard !members.isEmpty else { return nil }
    var template = Array(
      "\(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp")/decant-fuzz-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { return nil }
    path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    for member in members {
      // The last step only: the archive is not what is tested, and must not write elsewhere.
      write(member.data, to: String(member.name.split(separator: "/").last ?? ""))
    }
  }

  private func write(_ bytes: [UInt8], to name: String) {
    guard !["", ".", ".."].contains(name) else { return }
    let file = path + "/" + name
    let descriptor = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else { return }
    files.append(file)
    _ = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    close(descriptor)
  }

  deinit {
    for file in files { unlink(file) }
    rmdir(path)
  }
}
