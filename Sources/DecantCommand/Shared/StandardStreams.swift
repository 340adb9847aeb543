internal import DecantBytes
internal import DecantIO
internal import Synchronization

/// The process's standard output and standard error.
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

  /// True once a JSON document was written to standard output. There is never a second one.
  static var hasDocument: Bool { documents.load(ordering: .relaxed) }
  private static let documents = Atomic<Bool>(false)

  /// Writes the command's only JSON document to standard output.
  static func document(_ value: JSONValue) {
    beginDocument()
    line(value.indentedText)
  }

  /// Records that the following lines are the command's JSON document.
  static func beginDocument() { documents.store(true, ordering: .relaxed) }

  /// Writes a note to standard error.
  static func note(_ text: String) { message("decant: " + text) }

  /// Writes an error to standard error.
  static func error(_ text: String) { message("decant: error: " + text) }

  /// Writes the buffered output. Call it before the process ends. A closed pipe is success, a full disk is an error.
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
