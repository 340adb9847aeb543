internal import DecantBytes
internal import DecantIO
internal import Synchronization

/// The process's standard output and standard error.
enum StandardStreams {
  private static let output = Mutex(Output())

  /// The text that is still to be written to standard output.
  private struct Output {
    var bytes: [UInt8] = []
    /// The answer on one of several files that is being written; nil when the command answers on one file.
    var answer: Answer?
    private var hasHeading = false

    /// Writes the heading of a text answer, unless it is written already.
    mutating func writeHeading() {
      guard let heading = answer?.heading else { return }
      answer?.heading = nil
      bytes.append(contentsOf: ((hasHeading ? "\n" : "") + heading + "\n").utf8)
      hasHeading = true
    }

    mutating func append(line: String) {
      writeHeading()
      guard answer?.isJSON != true else {
        // A string in the document has no line end and no leading indentation, so this changes no value.
        return bytes.append(contentsOf: line.utf8.drop { $0 == 0x20 })
      }
      bytes.append(contentsOf: line.utf8)
      bytes.append(0x0A)
    }
  }

  private struct Answer {
    /// The line to write before the answer's first one; nil once it is written.
    var heading: String?
    let isJSON: Bool
  }

  /// Makes writing to a closed pipe or past a file-size limit an error to handle rather than a death.
  static func prepare() { ProcessControl.reportFailedWrites() }

  /// Writes a line of results to standard output.
  static func line(_ text: String = "") {
    let isFull = output.withLock { output in
      output.append(line: text)
      return output.bytes.count >= 1 << 16
    }
    if isFull { flush() }
  }

  // MARK: Several files

  /// Begins the answer on one of several files. A text has a heading, as `head` writes it for several files. A JSON
  /// document becomes one line.
  static func beginAnswer(on path: String, isJSON: Bool) {
    documents.store(false, ordering: .relaxed)
    output.withLock {
      $0.answer = Answer(heading: isJSON ? nil : "==> \(path.escapedForDisplay) <==", isJSON: isJSON)
    }
  }

  /// Ends the answer that ``beginAnswer(on:isJSON:)`` began.
  static func endAnswer() {
    output.withLock { if $0.answer?.isJSON == true, hasDocument { $0.bytes.append(0x0A) } }
  }

  // MARK: JSON

  /// True once a JSON document was written to standard output. There is never a second one for a file.
  static var hasDocument: Bool { documents.load(ordering: .relaxed) }
  private static let documents = Atomic<Bool>(false)

  /// Writes the JSON document of the command, or of one of several files, to standard output.
  static func document(_ value: JSONValue) {
    beginDocument()
    line(output.withLock { $0.answer?.isJSON == true } ? value.text : value.indentedText)
  }

  /// Records that the following lines are the command's JSON document.
  static func beginDocument() { documents.store(true, ordering: .relaxed) }

  /// Writes a note to standard error.
  static func note(_ text: String) { message("decant: " + text) }

  /// Writes an error to standard error.
  static func error(_ text: String) { message("decant: error: " + text) }

  /// Writes the buffered output. Call it before the process ends. A closed pipe is success, a full disk is an error.
  static func flush() {
    let bytes = output.withLock { output in
      defer { output.bytes.removeAll(keepingCapacity: true) }
      return output.bytes
    }
    guard let failure = StandardStream.output.write(bytes) else { return }
    if failure.isClosedPipe { ProcessControl.end(0) }
    error("standard output cannot be written: \(failure.reason).")
    ProcessControl.end(ExitStatus.wrong.rawValue)
  }

  /// Writes text as it stands to standard error.
  static func raw(_ text: String) { _ = StandardStream.error.write(Array(text.utf8)) }

  private static func message(_ text: String) {
    output.withLock { $0.writeHeading() }
    flush()
    raw(text + "\n")
  }
}
