internal import Synchronization

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// The process: its processors, its signals and its end.
package enum ProcessControl {
  /// The number of processors that are online.
  package static var processorCount: Int { max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))) }

  /// Returns the value of an environment variable; nil when it is not set.
  package static func environment(_ name: String) -> String? {
    unsafe getenv(name).map { unsafe String(cString: $0) }
  }

  /// Ends the process.
  package static func end(_ status: Int32) -> Never { exit(status) }

  /// Makes writing to a closed pipe, or past a limit on file sizes, an error of the write.
  package static func reportFailedWrites() {
    signal(SIGPIPE, SIG_IGN)
    signal(SIGXFSZ, SIG_IGN)
  }

  /// Ends the process with a sentence and status 2 when a mapped file is truncated while it is in use.
  package static func explainLostPages() {
    signal(SIGBUS) { _ in
      let text: StaticString = "decant: error: the checkpoint was truncated while it was in use.\n"
      _ = unsafe write(STDERR_FILENO, text.utf8Start, text.utf8CodeUnitCount)
      _exit(2)
    }
  }

  /// The first interruption that came; 0 for none. A signal handler may do little more than store to it.
  private static let interruption = Atomic<Int32>(0)

  /// The number of the signal that asked the process to end since ``watchInterruptions()``; nil for none.
  package static var pendingInterruption: Int32? {
    let number = interruption.load(ordering: .relaxed)
    return number == 0 ? nil : number
  }

  /// Records SIGINT, SIGTERM and SIGHUP instead of ending the process. A second signal ends it at once.
  package static func watchInterruptions() {
    // Made before a handler can run.
    interruption.store(0, ordering: .relaxed)
    for number in [SIGINT, SIGTERM, SIGHUP] {
      var before = sigaction()
      // nohup and shells' background jobs have some ignored, and so they stay.
      guard unsafe sigaction(number, nil, &before) == 0, !isIgnored(before) else { continue }
      var action = sigaction()
      let handler: @convention(c) (Int32) -> Void = { number in
        ProcessControl.interruption.store(number, ordering: .relaxed)
      }
      #if os(Linux)
        unsafe action.__sigaction_handler.sa_handler = handler
      #else
        unsafe action.__sigaction_u.__sa_handler = handler
      #endif
      action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND))
      unsafe sigaction(number, &action, nil)
    }
  }

  private static func isIgnored(_ action: sigaction) -> Bool {
    #if os(Linux)
      let handler = unsafe action.__sigaction_handler.sa_handler
    #else
      let handler = unsafe action.__sigaction_u.__sa_handler
    #endif
    // SIG_IGN is the address 1.
    return unsafe unsafeBitCast(handler, to: Int.self) == 1
  }

  /// Ends the process as a signal would have.
  package static func die(of number: Int32) -> Never {
    signal(number, SIG_DFL)
    raise(number)
    exit(128 + number)
  }
}
