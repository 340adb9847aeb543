import Glibc
import Synchronization

/// The signals that ask the process to end, as an error, so that what is half done is taken away first.
///
/// A second signal ends the process at once.
struct Interruption: Error {
  let signal: Int32

  /// The first signal that came; 0 for none. A handler may do little more than store to it.
  private static let pending = Atomic<Int32>(0)

  /// Makes a signal one to be asked for with ``check()``.
  static func watch() {
    // Made before a handler can run.
    pending.store(0, ordering: .relaxed)
    var action = sigaction()
    unsafe action.__sigaction_handler.sa_handler = { number in
      Interruption.pending.store(number, ordering: .relaxed)
    }
    action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND))
    for number in [SIGINT, SIGTERM, SIGHUP] {
      var before = sigaction()
      // nohup and shells' background jobs have some ignored, and so they stay.
      guard unsafe sigaction(number, nil, &before) == 0,
        unsafe unsafeBitCast(before.__sigaction_handler.sa_handler, to: Int.self) != 1
      else { continue }
      unsafe sigaction(number, &action, nil)
    }
  }

  /// - Throws: ``Interruption`` when a signal has come.
  static func check() throws {
    let number = pending.load(ordering: .relaxed)
    if number != 0 { throw Interruption(signal: number) }
  }

  /// Ends the process as the signal would have.
  func die() -> Never {
    Glibc.signal(signal, SIG_DFL)
    raise(signal)
    exit(128 + signal)
  }
}
