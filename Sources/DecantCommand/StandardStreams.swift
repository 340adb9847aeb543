import DecantBytes
import DecantIO
import Synchronization

/// The process's output and messages.
enum StandardStreams {
  private static let pending = Mutex<[UInt8]>([])

  /// Makes writing to a closed pipe or past a file-size limit an error to handle rather than a death.
  static func prepare() { ProcessControl.reportFailedWrites() }

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
    guard let failure = StandardStream.output.write(bytes) else { return }
    if failure.isClosedPipe { ProcessControl.end(0) }
    error("standard output cannot be written: \(failure.reason).")
    ProcessControl.end(ExitStatus.wrong.rawValue)
  }

  /// Writes text as it stands to standard error.
  static func raw(_ text: String) { _ = StandardStream.error.write(Array(text.utf8)) }

  private static func message(_ text: String) {
    flush()
    raw(text + "\n")
  }
}
