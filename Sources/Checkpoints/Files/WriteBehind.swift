internal import Dispatch
internal import Glibc

/// Writes full buffers to a file on a thread of its own while the caller fills the next one.
///
/// Buffers are of ``bufferByteCount`` bytes and so are the offsets they are written at: the kernel takes whole
/// mebibytes at multiples of a mebibyte in two thirds of the time of other sizes. Memory: three buffers.
///
/// One thread calls; what it shares with the writing thread is handed over through the queue, hence
/// `@unchecked Sendable`.
@safe final class WriteBehind: @unchecked Sendable {
  static let bufferByteCount = 1 << 20
  private static let bufferCount = 3

  private let descriptor: Int32
  /// Whether it cannot seek, such as a pipe.
  private let isStream: Bool
  private let queue = DispatchQueue(label: "decant.write-behind")
  /// Counts the buffers that nobody is filling or writing.
  private let free = DispatchSemaphore(value: bufferCount - 1)
  /// None once everything is written.
  private var buffers: [UnsafeMutableRawBufferPointer]
  private var place = 0
  /// The file's offset of the buffer that is being filled, and how much of it is full.
  private var offset = 0
  private var filled = 0
  /// The system's error number and offset of the first write that failed; only the queue touches it.
  private var failure: (code: Int32, offset: Int)?

  init(descriptor: Int32, isStream: Bool = false) {
    self.descriptor = descriptor
    self.isStream = isStream
    unsafe buffers = (0..<Self.bufferCount).map { _ in
      UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bufferByteCount, alignment: 4096)
    }
  }

  deinit {
    // Every hand-over has signalled by then, so the semaphore is back where it began, as it must be.
    queue.sync {}
    release()
  }

  /// Bytes appended so far.
  var byteCount: Int { offset + filled }

  /// Appends `count` bytes that `fill` writes in place, in pieces that end at a buffer's end.
  ///
  /// - Throws: what `fill` throws.
  func append<E: Error>(
    byteCount count: Int, fill: (UnsafeMutableRawBufferPointer) throws(E) -> Void
  ) throws(E) {
    var left = count
    while left > 0 {
      let end = min(Self.bufferByteCount, filled + left)
      try unsafe fill(UnsafeMutableRawBufferPointer(rebasing: buffers[place][filled..<end]))
      left -= end - filled
      filled = end
      if filled == Self.bufferByteCount { handOver() }
    }
  }

  /// Writes what is left and waits for all writes.
  ///
  /// - Returns: the system's error number and the offset of the first write that failed.
  func finish() -> (code: Int32, offset: Int)? {
    if filled > 0 { handOver() }
    let failure = queue.sync { self.failure }
    // Several files of one conversion are whole before the first gets its name.
    release()
    return failure
  }

  private func release() {
    for buffer in unsafe buffers { unsafe buffer.deallocate() }
    unsafe buffers = []
  }

  private func handOver() {
    let (full, count, start) = (place, filled, offset)
    queue.async { [self] in
      if failure == nil { failure = write(full, count, at: start) }
      free.signal()
    }
    free.wait()
    place = (place + 1) % Self.bufferCount
    offset += filled
    filled = 0
  }

  private func write(_ place: Int, _ count: Int, at start: Int) -> (code: Int32, offset: Int)? {
    var done = 0
    while done < count {
      let rest = unsafe buffers[place].baseAddress! + done
      let written =
        isStream
        ? unsafe Glibc.write(descriptor, rest, count - done)
        : unsafe pwrite(descriptor, rest, count - done, off_t(start + done))
      if written > 0 {
        done += written
      } else if written == 0 || errno != EINTR {
        return (written == 0 ? EIO : errno, start + done)
      }
    }
    return nil
  }
}
