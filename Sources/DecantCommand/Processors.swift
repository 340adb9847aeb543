import Glibc

/// What the tool asks of the machine.
enum Processors {
  /// How many processors are at work.
  static var count: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

  /// Ends the process with a sentence when a mapped file is truncated by someone else while it is in use.
  static func explainLostPages() {
    signal(SIGBUS) { _ in
      let text: StaticString = "decant: error: the checkpoint was truncated while it was in use.\n"
      _ = unsafe write(STDERR_FILENO, text.utf8Start, text.utf8CodeUnitCount)
      _exit(ExitStatus.wrong.rawValue)
    }
  }
}
