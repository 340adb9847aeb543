import Glibc

/// The process's output and messages.
enum StandardStreams {
  /// Whether messages may be coloured: a terminal that is not dumb, and no `NO_COLOR`.
  static let usesColour: Bool = {
    guard isatty(STDOUT_FILENO) == 1, getenv("NO_COLOR") == nil else { return false }
    return getenv("TERM").map { strcmp($0, "dumb") != 0 } ?? false
  }()

  /// Makes writing to a closed pipe or past a file-size limit an error to handle rather than a death.
  static func prepare() {
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
    setvbuf(stdout, nil, _IOFBF, 1 << 16)
  }

  /// Writes a line.
  static func line(_ text: String = "") {
    var text = text
    text.withUTF8 { _ = fwrite($0.baseAddress, 1, $0.count, stdout) }
    putc(10, stdout)
  }

  /// Writes a note that is no result: to standard error.
  static func note(_ text: String) { message("decant: " + text) }

  /// Writes what went wrong.
  static func error(_ text: String) { message("decant: error: " + text) }

  /// Writes what is held back. A reader that has gone away is success; a full disk is not.
  static func finish() {
    if fflush(stdout) == 0 && ferror(stdout) == 0 { return }
    if errno == EPIPE { exit(0) }
    error("standard output cannot be written: \(String(cString: strerror(errno))).")
    exit(ExitStatus.wrong.rawValue)
  }

  private static func message(_ text: String) {
    fflush(stdout)
    var line = text + "\n"
    line.withUTF8 { bytes in
      var done = 0
      while done < bytes.count {
        let count = write(STDERR_FILENO, bytes.baseAddress! + done, bytes.count - done)
        if count <= 0 { return }
        done += count
      }
    }
  }
}
