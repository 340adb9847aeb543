import DecantBytes
import Glibc
import Synchronization

/// The process's output and messages.
enum StandardStreams {
  private static let pending = Mutex<[UInt8]>([])

  /// Makes writing to a closed pipe or past a file-size limit an error to handle rather than a death.
  static func prepare() {
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
  }

  /// Writes a line of results to standard output.
  static func line(_ text: String = "") {
    let isFull = pending.withLock { pending in
      pending.append(contentsOf: text.utf8)
      pending.append(0x0A)
      return pending.count >= 1 << 16
    }
    if isFull { flush() }
  }

  /// True once a JSON document is on standard output, which never holds a second one.
  static var hasDocument: Bool { documents.load(ordering: .relaxed) }
  private static let documents = Atomic<Bool>(false)

  /// Writes the one JSON document of a command to standard output.
  static func document(_ value: JSONValue) {
    beginDocument()
    line(value.indentedText)
  }

  /// Notes that the lines that follow are the command's JSON document.
  static func beginDocument() { documents.store(true, ordering: .relaxed) }

  /// Writes a note that is no result: to standard error.
  static func note(_ text: String) { message("decant: " + text) }

  /// Writes what went wrong: to standard error.
  static func error(_ text: String) { message("decant: error: " + text) }

  /// Writes what is held back; call before the process ends. A reader that has gone away is success, a full
  /// disk is not.
  static func flush() {
    let bytes = pending.withLock { pending in
      defer { pending.removeAll(keepingCapacity: true) }
      return pending
    }
    switch write(bytes, to: STDOUT_FILENO) {
    case 0: return
    case EPIPE: exit(0)
    case let code:
      error("standard output cannot be written: \(unsafe String(cString: strerror(code))).")
      exit(ExitStatus.wrong.rawValue)
    }
  }

  /// Writes text as it stands to standard error.
  static func raw(_ text: String) { _ = write(Array(text.utf8), to: STDERR_FILENO) }

  private static func message(_ text: String) {
    flush()
    _ = write(Array((text + "\n").utf8), to: STDERR_FILENO)
  }

  /// Writes bytes; returns 0 or the system's error number.
  private static func write(_ bytes: [UInt8], to descriptor: Int32) -> Int32 {
    var done = 0
    while done < bytes.count {
      let count = unsafe bytes.withUnsafeBytes { buffer in
        unsafe Glibc.write(descriptor, buffer.baseAddress! + done, buffer.count - done)
      }
      if count >= 0 { done += count } else if errno != EINTR { return errno }
    }
    return 0
  }
}
