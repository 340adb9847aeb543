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
    var route = Route.direct
    /// The lines that were written, which a pager is started for when there are too many.
    var lineCount = 0
    /// The notes and warnings that wait for the end of the answer.
    var notes: [Note] = []
    /// The texts of notes that are printed already, or wait.
    var known: Set<String> = []

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
      lineCount += 1
    }
  }

  /// Where the text of standard output goes.
  private enum Route {
    /// To standard output.
    case direct
    /// To a pager if there are more lines than the terminal has rows, else to standard output. Text is kept until then.
    case undecided(command: String, rows: Int)
    case pager(Pager)
  }

  /// A line on standard error.
  private enum Message {
    case note, warning, error

    /// The words before the text, in the style of the kind.
    func text(_ text: String, hasColor: Bool) -> String {
      switch self {
      case .note: hasColor ? TextStyle.dim.applied(to: "decant: " + text) : "decant: " + text
      case .warning:
        (hasColor ? TextStyle.yellow.applied(to: "decant: warning:") : "decant: warning:") + " " + text
      case .error: (hasColor ? TextStyle.red.applied(to: "decant: error:") : "decant: error:") + " " + text
      }
    }
  }

  private struct Note {
    let kind: Message
    let text: String
  }

  private struct Answer {
    /// The line to write before the answer's first one; nil once it is written.
    var heading: String?
    let isJSON: Bool
  }

  /// Makes writing to a closed pipe or past a file-size limit an error to handle rather than a death.
  static func prepare() { ProcessControl.reportFailedWrites() }

  /// Presents the output that follows, and pages it if the presentation has a pager.
  static func present(_ presentation: Presentation) {
    Presentation.current = presentation
    guard let command = presentation.pager, let size = presentation.terminal else { return }
    output.withLock { $0.route = .undecided(command: command, rows: size.rows) }
  }

  /// Writes a line of results to standard output.
  static func line(_ text: String = "") {
    let isFull = output.withLock { output in
      output.append(line: text)
      guard case .undecided(let command, let rows) = output.route else {
        return output.bytes.count >= 1 << 16
      }
      // One row is for the prompt.
      guard output.lineCount >= rows else { return false }
      output.route = Pager(command).map { .pager($0) } ?? .direct
      return true
    }
    if isFull { flush() }
  }

  // MARK: Several files

  /// Begins the answer on one of several files. A text has a heading, as `head` writes it for several files. A JSON
  /// document becomes one line.
  static func beginAnswer(on path: String, isJSON: Bool) {
    documents.store(false, ordering: .relaxed)
    output.withLock {
      // Each answer has its own notes.
      $0.known = []
      $0.answer = Answer(heading: isJSON ? nil : "==> \(path.escapedForDisplay) <==", isJSON: isJSON)
    }
  }

  /// Ends the answer that ``beginAnswer(on:isJSON:)`` began.
  static func endAnswer() {
    output.withLock { if $0.answer?.isJSON == true, hasDocument { $0.bytes.append(0x0A) } }
    printNotes()
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

  // MARK: Notes

  /// Records a note, which is written to standard error after the answer. The same note is never written twice.
  static func note(_ text: String) { record(.note, text) }

  /// Records a warning, which is written to standard error after the answer, even with `--quiet`.
  static func warning(_ text: String) { record(.warning, text) }

  private static func record(_ kind: Message, _ text: String) {
    guard kind != .note || !Presentation.current.isQuiet else { return }
    output.withLock { output in
      if output.known.insert(text).inserted { output.notes.append(Note(kind: kind, text: text)) }
    }
  }

  /// Writes the notes and warnings that wait.
  static func printNotes() {
    let notes = output.withLock { output in
      defer { output.notes.removeAll() }
      return output.notes
    }
    for note in notes { write(note.kind, note.text) }
  }

  /// Leaves out the notes that wait, but not the warnings. An error says all that matters.
  static func dropNotes() {
    guard !Presentation.current.isVerbose else { return }
    output.withLock { $0.notes.removeAll { $0.kind == .note } }
  }

  /// Writes an error to standard error.
  static func error(_ text: String) { write(.error, text) }

  // MARK: Writing

  /// Writes the buffered output to the stream, or to the pager if one is shown.
  static func flush() {
    let (bytes, pager) = output.withLock { output in
      defer { output.bytes.removeAll(keepingCapacity: true) }
      if case .pager(let pager) = output.route { return (output.bytes, Pager?.some(pager)) }
      output.route = .direct
      return (output.bytes, nil)
    }
    guard let failure = pager?.write(bytes) ?? (pager == nil ? StandardStream.output.write(bytes) : nil)
    else {
      return
    }
    if failure.isClosedPipe {
      pager?.finish()
      ProcessControl.end(0)
    }
    error("standard output cannot be written: \(failure.reason).")
    ProcessControl.end(ExitStatus.wrong.rawValue)
  }

  /// Writes all output and notes, and waits for the pager. Call it before the process ends. A closed pipe is success, a
  /// full disk is an error.
  static func finish() {
    flush()
    printNotes()
    flush()
    let pager = output.withLock { output -> Pager? in
      defer { output.route = .direct }
      if case .pager(let pager) = output.route { return pager }
      return nil
    }
    pager?.finish()
  }

  /// True when a pager shows the output, and progress would disturb it.
  static var isPaged: Bool {
    output.withLock { if case .pager = $0.route { true } else { false } }
  }

  /// Writes text as it stands to standard error.
  static func raw(_ text: String) { _ = StandardStream.error.write(Array(text.utf8)) }

  /// Writes a line to standard error after the output before it. Within a pager it is a line of the text.
  private static func write(_ kind: Message, _ text: String) {
    output.withLock { $0.writeHeading() }
    flush()
    let presentation = Presentation.current
    if isPaged, StandardStream.error.isTerminal {
      return line(kind.text(text, hasColor: presentation.hasColor))
    }
    raw(kind.text(text, hasColor: presentation.hasColorInErrors) + "\n")
  }
}
