#if canImport(Glibc)
  // For `environ`, which is read before another thread starts.
  @unsafe @preconcurrency internal import Glibc
#elseif canImport(Musl)
  @unsafe @preconcurrency internal import Musl
#elseif canImport(Darwin)
  @unsafe @preconcurrency internal import Darwin
#endif

/// A running program that reads text from a pipe and shows it a screen at a time, such as `less`.
package struct Pager: Sendable {
  private let process: pid_t
  private let pipe: Int32

  /// Starts a pager on standard output; nil when it cannot be started.
  ///
  /// Without the variable LESS, `less` is told to keep colours, to leave the text on the screen, and to end at once when
  /// the text fits it.
  ///
  /// - Parameter command: the program and its arguments; a command line for the shell when it has characters that a shell
  ///   interprets.
  package init?(_ command: String) {
    let isForShell = command.contains { "|&;<>()$`\\\"'*?[#~=%\n".contains($0) }
    let words = isForShell ? ["/bin/sh", "-c", command] : command.split(separator: " ").map(String.init)
    guard !words.isEmpty else { return nil }
    unsafe setenv("LESS", "FRX", 0)
    var ends: [Int32] = [0, 0]
    guard unsafe systemPipe(&ends) == 0 else { return nil }
    _ = fcntl(ends[1], F_SETFD, FD_CLOEXEC)
    guard let process = Self.spawn(words, reading: ends[0]) else {
      close(ends[0])
      close(ends[1])
      return nil
    }
    close(ends[0])
    (self.process, pipe) = (process, ends[1])
    // Ctrl-C is for the pager, which this process waits for.
    signal(SIGINT, SIG_IGN)
    signal(SIGQUIT, SIG_IGN)
  }

  private static func spawn(_ words: [String], reading input: Int32) -> pid_t? {
    #if canImport(Darwin)
      var actions: posix_spawn_file_actions_t?
      var attributes: posix_spawnattr_t?
    #else
      var actions = unsafe posix_spawn_file_actions_t()
      var attributes = posix_spawnattr_t()
    #endif
    unsafe posix_spawn_file_actions_init(&actions)
    unsafe posix_spawnattr_init(&attributes)
    defer {
      unsafe posix_spawn_file_actions_destroy(&actions)
      unsafe posix_spawnattr_destroy(&attributes)
    }
    unsafe posix_spawn_file_actions_adddup2(&actions, input, 0)
    unsafe posix_spawn_file_actions_addclose(&actions, input)
    // This process ignores these signals, which a program that it starts would inherit.
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    for number in [SIGPIPE, SIGXFSZ] { _ = unsafe sigaddset(&signals, number) }
    unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
    unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGDEF))
    var arguments: [UnsafeMutablePointer<CChar>?] = unsafe words.map { unsafe strdup($0) } + [nil]
    defer { unsafe arguments.forEach { unsafe free($0) } }
    var process: pid_t = 0
    let status = unsafe posix_spawnp(&process, words[0], &actions, &attributes, &arguments, environ)
    return status == 0 ? process : nil
  }

  /// Writes all bytes.
  ///
  /// - Returns: nil, or what failed. The pipe is closed when the pager has ended.
  package func write(_ bytes: [UInt8]) -> StandardStream.Failure? {
    StandardStream.write(bytes, to: pipe)
  }

  /// Closes the pipe and waits for the pager to end.
  package func finish() {
    close(pipe)
    var status: Int32 = 0
    while unsafe waitpid(process, &status, 0) < 0, errno == EINTR {}
  }
}

/// The system's function, whose name a property shadows.
private func systemPipe(_ ends: UnsafeMutablePointer<Int32>) -> Int32 { unsafe pipe(ends) }
