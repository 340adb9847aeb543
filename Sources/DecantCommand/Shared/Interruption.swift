internal import DecantIO

/// The signals that ask the process to end, as an error, so that unfinished files are removed first.
///
/// A second signal ends the process at once.
struct Interruption: Error {
  let signal: Int32

  /// Records the signals for ``check()`` instead of ending the process.
  static func watch() { ProcessControl.watchInterruptions() }

  /// - Throws: ``Interruption`` when a signal has come.
  static func check() throws {
    if let number = ProcessControl.pendingInterruption { throw Interruption(signal: number) }
  }

  /// Ends the process as the signal would have.
  func die() -> Never { ProcessControl.die(of: signal) }
}
