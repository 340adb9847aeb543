package import DecantBytes

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// Bytes that several threads may fill in, in pieces and in any order.
package protocol OutputFeed: AnyObject, Sendable {
  var byteCount: Int { get }

  /// Fills `piece` with the bytes that begin at `offset`.
  func fill(_ piece: UnsafeMutableRawBufferPointer, at offset: Int) throws(DecantError)

  /// Judges the whole when every piece was given.
  func finish() throws(DecantError)
}

/// Fills and writes blocks of a file on two threads, of which the caller's is one.
///
/// Blocks are of ``blockByteCount`` bytes and so are the offsets they are written at: the kernel takes whole
/// mebibytes at multiples of a mebibyte in two thirds of the time of other sizes, and one block of a file at a time.
/// Each thread reads, works on and writes a block by itself, and the caller does so when the other has enough to do, so
/// that neither waits; a stream's blocks are all the caller's, and every block where no thread is to be had. Memory:
/// three blocks.
///
/// One thread calls, and a block belongs to whoever holds it, hence `@unchecked Sendable`.
@safe package final class WriteBehind: @unchecked Sendable {
  package static let blockByteCount = 1 << 20
  /// Blocks that wait for the other thread at most.
  private static let pendingCount = 2

  /// What went wrong first, at an offset of the file.
  package enum Failure {
    /// The system's error number of a write.
    case write(Int32, offset: Int)
    /// What a feed threw.
    case feed(DecantError, offset: Int)

    package var offset: Int {
      switch self {
      case .write(_, let offset), .feed(_, let offset): offset
      }
    }
  }

  /// Memory for a block, or for two in one large page: the kernel hands that out in a quarter of the time of small ones,
  /// but whole, which a file of one block has no use for.
  @safe private final class Memory: @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer

    init(blockCount: Int) {
      let byteCount = blockCount * blockByteCount
      guard let memory = unsafe PageMemory.allocate(byteCount: byteCount) else {
        fatalError("no memory for a block of \(byteCount) bytes")
      }
      unsafe bytes = UnsafeMutableRawBufferPointer(start: memory, count: byteCount)
    }

    deinit { if let memory = unsafe bytes.baseAddress { unsafe PageMemory.free(memory) } }
  }

  @safe private final class Block: @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer
    private let memory: Memory
    /// The file's offset of its first byte, and how many bytes were given.
    var offset = 0
    var filled = 0
    /// What is filled in before the block is written.
    var parts: [(range: Range<Int>, feed: any OutputFeed, offset: Int)] = []

    private init(_ memory: Memory, _ place: Int) {
      self.memory = memory
      unsafe bytes = UnsafeMutableRawBufferPointer(
        rebasing: memory.bytes[place * blockByteCount..<(place + 1) * blockByteCount])
    }

    static func made(_ count: Int) -> [Block] {
      let memory = Memory(blockCount: count)
      return (0..<count).map { Block(memory, $0) }
    }

    func begin(at offset: Int) {
      self.offset = offset
      filled = 0
      parts.removeAll(keepingCapacity: true)
    }
  }

  private struct Shared {
    /// Blocks that were handed over, of which the other thread writes the first.
    var pending: [Block] = []
    /// Nothing more will be handed over.
    var isClosed = false
    var idle: [Block] = []
    var failure: Failure?
  }

  private let descriptor: Int32
  /// Whether it cannot seek, such as a pipe.
  private let isStream: Bool
  /// The other thread, which begins with the first block that is handed over.
  private var thread: WorkerThread?
  private let shared = Monitor(Shared())
  /// The block that the caller is filling.
  private var current: Block?
  /// Bytes appended so far.
  package private(set) var byteCount = 0

  /// Whoever makes one calls ``finish()`` in the end.
  package init(descriptor: Int32, isStream: Bool = false) {
    self.descriptor = descriptor
    self.isStream = isStream
  }

  /// Appends `count` bytes that `fill` writes in place, in pieces that end at a block's end.
  ///
  /// - Throws: what `fill` throws.
  package func append<E: Error>(
    byteCount count: Int, fill: (UnsafeMutableRawBufferPointer) throws(E) -> Void
  ) throws(E) {
    try append(byteCount: count) { block, range throws(E) in
      try unsafe fill(UnsafeMutableRawBufferPointer(rebasing: block.bytes[range]))
    }
  }

  /// Appends what `feed` gives when it is asked, on other threads.
  ///
  /// - Parameter appended: told of the bytes that have their place.
  /// - Throws: what `appended` throws.
  package func append<E: Error>(_ feed: any OutputFeed, appended: (Int) throws(E) -> Void) throws(E) {
    var done = 0
    try append(byteCount: feed.byteCount) { block, range throws(E) in
      block.parts.append((range, feed, done))
      done += range.count
      try appended(done)
    }
  }

  private func append<E: Error>(byteCount count: Int, part: (Block, Range<Int>) throws(E) -> Void) throws(E) {
    var left = count
    while left > 0 {
      let block = current ?? nextBlock()
      let range = block.filled..<min(Self.blockByteCount, block.filled + left)
      try part(block, range)
      block.filled = range.upperBound
      byteCount += range.count
      left -= range.count
      if block.filled == Self.blockByteCount { release(block) }
    }
  }

  /// Writes what is left and waits for all writes.
  ///
  /// - Returns: what failed, at the lowest offset.
  package func finish() -> Failure? {
    if let block = current {
      current = nil
      write(block)
    }
    if let thread {
      shared.withLock { $0.isClosed = true }
      thread.join()
      self.thread = nil
    }
    return shared.withLock {
      // Several files of one conversion are whole before the first gets its name.
      $0.idle = []
      return $0.failure
    }
  }

  /// Writes over bytes that ``finish()`` has waited for; not for a stream.
  package func replace(at offset: Int, with bytes: [UInt8]) -> Failure? {
    unsafe bytes.withUnsafeBytes { unsafe write($0, at: offset) }
  }

  private func nextBlock() -> Block {
    let block = shared.withLock {
      // One is filled, one written and one waits at most.
      if $0.idle.isEmpty { $0.idle = Block.made(byteCount == 0 ? 1 : 2) }
      return $0.idle.removeLast()
    }
    block.begin(at: byteCount)
    current = block
    return block
  }

  /// Gives a full block to the other thread, or writes it.
  private func release(_ block: Block) {
    current = nil
    if !handOver(block) { write(block) }
  }

  /// Gives a block to the other thread; false when that has enough to do, or there is none.
  private func handOver(_ block: Block) -> Bool {
    guard !isStream, shared.withLock({ $0.pending.count < Self.pendingCount }) else { return false }
    if thread == nil {
      shared.withLock { $0.isClosed = false }
      thread = WorkerThread { [self] in writePending() }
    }
    guard thread != nil else { return false }
    shared.withLock { $0.pending.append(block) }
    return true
  }

  /// What the other thread does. A block leaves the list when it is written.
  private func writePending() {
    while let block = nextPending() {
      write(block)
      shared.withLock { _ = $0.pending.removeFirst() }
    }
  }

  /// The next block to write; nil when no more will come.
  private func nextPending() -> Block? {
    shared.wait { shared -> Block?? in
      if let block = shared.pending.first { return block }
      return shared.isClosed ? .some(nil) : nil
    }
  }

  private func write(_ block: Block) {
    // After a failure nothing is worth reading or writing.
    let failure = shared.withLock { $0.failure == nil } ? complete(block) : nil
    shared.withLock {
      if let failure, failure.offset < $0.failure?.offset ?? .max { $0.failure = failure }
      $0.idle.append(block)
    }
  }

  /// Fills in what is missing, and writes.
  private func complete(_ block: Block) -> Failure? {
    for part in block.parts {
      do throws(DecantError) {
        try unsafe part.feed.fill(
          UnsafeMutableRawBufferPointer(rebasing: block.bytes[part.range]), at: part.offset)
      } catch { return .feed(error, offset: block.offset + part.range.lowerBound) }
    }
    let bytes = unsafe UnsafeRawBufferPointer(rebasing: block.bytes[..<block.filled])
    return unsafe write(bytes, at: block.offset)
  }

  /// Writes all of `bytes`.
  private func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Failure? {
    var done = 0
    while done < bytes.count {
      let (rest, count) = unsafe (bytes.baseAddress! + done, bytes.count - done)
      let written =
        isStream
        ? unsafe Glibc.write(descriptor, rest, count)
        : unsafe pwrite(descriptor, rest, count, off_t(offset + done))
      if written > 0 {
        done += written
      } else if written == 0 || errno != EINTR {
        return .write(written == 0 ? EIO : errno, offset: offset + done)
      }
    }
    return nil
  }
}
