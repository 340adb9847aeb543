internal import DecantBytes

/// The code in an archive of torch.package or torch.export. It is never clean, since loading or calling runs it.
struct ArchivedCode {
  enum Kind {
    /// Python source that the importer of torch.package runs.
    case python
    /// A compiled library or object of AOTInductor.
    case native
    /// Source code of AOTInductor, and what else it wrote for the compiler.
    case source
    /// Settings of AOTInductor, from which torch composes the compiler's command line.
    case flags
    /// A graph of torch.export.
    case graph
  }

  /// Calls that start system commands. The list cannot be complete: source is text, and text can be computed.
  private static let calls = [
    "os.system(", "os.popen(", "subprocess.Popen(", "subprocess.call(", "subprocess.run(",
    "subprocess.check_call(", "subprocess.check_output(", "pty.spawn(",
  ]

  private var counts: [Kind: Int] = [:]
  private var running: [(place: String, offset: Int, call: String)] = []

  /// Counts an entry and searches Python source for calls. O(length).
  mutating func add(_ kind: Kind, _ content: RawSpan, _ place: String) {
    counts[kind, default: 0] += 1
    if kind == .flags, let found = Self.shellText(content), running.count < 100 {
      running.append((place, found, "a flag of the compiler's command line"))
    }
    guard kind == .python, running.count < 100 else { return }
    for call in Self.calls {
      if let found = content.first(Array(call.utf8), in: 0..<content.byteCount) {
        running.append((place, found, call + "…)"))
      }
    }
  }

  /// Returns the offset of a text with which a shell runs another command, or nil. Settings need none of them.
  private static func shellText(_ content: RawSpan) -> Int? {
    for text in [";", "|", "&", "`", "$(", ">", "\\n", "\\u00"] {
      if let found = content.first(Array(text.utf8), in: 0..<content.byteCount) { return found }
    }
    return nil
  }

  /// Reports the code and the calls found in it.
  func report(in place: String, _ audit: FileAudit) {
    func report(_ kind: Kind, _ one: String, _ many: String, _ does: String) {
      guard let count = counts[kind] else { return }
      audit.report(.unknown, .archivedCode, in: place, at: 0, "\(count) \(count == 1 ? one : many), \(does)")
    }
    report(.python, "Python source", "Python sources", "which torch.package runs when it imports them")
    report(.native, "compiled library", "compiled libraries", "which loading links into the process")
    report(
      .source, "file of AOTInductor's sources", "files of AOTInductor's sources",
      "which loading compiles and runs")
    report(
      .flags, "file of AOTInductor's settings", "files of AOTInductor's settings",
      "which loading compiles with")
    report(
      .graph, "program of torch.export", "programs of torch.export", "which loading builds and calling runs")
    for call in running {
      audit.report(
        .dangerous, .archivedCode, in: call.place, at: call.offset, "the source runs system commands",
        call: call.call)
    }
  }
}
