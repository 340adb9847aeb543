#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// A stream that the process was started with.
package enum StandardStream: Int32, Sendable {
  case output = 1
  case error = 2

  /// True when the stream is a terminal.
  package var isTerminal: Bool { isatty(rawValue) == 1 }

  /// Writes all bytes.
  ///
  /// - Returns: nil, or what failed.
  package func write(_ bytes: [UInt8]) -> Failure? { Self.write(bytes, to: rawValue) }

  /// Writes all bytes to a descriptor.
  ///
  /// - Returns: nil, or what failed.
  static func write(_ bytes: [UInt8], to descriptor: Int32) -> Failure? {
    var done = 0
    while done < bytes.count {
      let count = unsafe bytes.withUnsafeBytes { buffer in
        unsafe systemWrite(descriptor, buffer.baseAddress! + done, buffer.count - done)
      }
      if count >= 0 { done += count } else if errno != EINTR { return Failure(number: errno) }
    }
    return nil
  }

  /// A write that failed.
  package struct Failure: Error {
    fileprivate let number: Int32

    /// True when nobody reads the stream any more.
    package var isClosedPipe: Bool { number == EPIPE }

    /// The system's sentence.
    package var reason: String { unsafe String(cString: strerror(number)) }
  }
}

/// The system's function, whose name the method shadows.
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
  unsafe write(descriptor, bytes, count)
}
