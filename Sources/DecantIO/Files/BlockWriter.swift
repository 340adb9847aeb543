package import DecantBytes

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// A source of output bytes that several threads may read in pieces, in any order.
package protocol BlockSource: AnyObject, Sendable {
  var byteCount: Int { get }

  /// Fills `piece` with the bytes that begin at `offset`.
  func fill(_ piece: UnsafeMutableRawBufferPointer, at offset: Int) throws(DecantError)

  /// Checks the result after every piece was read.
  func finish() throws(DecantError)
}

/// Fills and writes blocks of a file on two threads; one of them is the caller's.
///
/// Blocks have ``blockByteCount`` bytes and are written at multiples of it: the kernel writes whole mebibytes at
/// multiples of a mebibyte in two thirds of the time of other sizes, and only one block of a file at a time. Each
/// thread reads, converts and writes a block by itself. When the worker thread has enough queued blocks, the caller
/// writes a block too, so neither waits. The caller writes all blocks of a stream, and all blocks when no thread can
/// be created. Memory: three blocks.
///
/// `@unchecked Sendable`: only one thread calls the methods, and each block is used by one thread at a time.
@safe final class BlockWriter: @unchecked Sendable {
  static let blockByteCount = 1 << 20
  /// The most blocks that are queued for the worker thread.
  private static let pendingCount = 2

  /// The first failure, with its offset in the file.
  enum Failure {
    /// A failed write, with the system's error number.
    case write(Int32, offset: Int)
    /// An error thrown by a feed.
    case feed(DecantError, offset: Int)

    var offset: Int {
      switch self {
      case .write(_, let offset), .feed(_, let offset): offset
      }
    }
  }

  /// The memory of one block, or of two blocks in one huge page.
  ///
  /// The kernel provides a huge page in a quarter of the time of small pages, but always as a whole; a file of one
  /// block does not need it.
  @safe private final class Memory: @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer

    init(blockCount: Int) {
      let byteCount = blockCount * blockByteCount
      unsafe bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: byteCount)
      #if os(Linux)
        if blockCount > 1 { _ = unsafe madvise(bytes.baseAddress, byteCount, MADV_HUGEPAGE) }
      #endif
    }

    deinit { unsafe bytes.deallocate() }
  }

  @safe private final class Block: @unchecked Sendable {
    let bytes: UnsafeMutableRawBufferPointer
    private let memory: Memory
    /// The file offset of the block's first byte, and the number of bytes assigned to the block so far.
    var offset = 0
    var filled = 0
    /// The parts to read from feeds before the block is written.
    var parts: [(range: Range<Int>, feed: any BlockSource, offset: Int)] = []

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
    /// The number of blocks that the other thread has not written yet.
    var pendingCount = 0
    var idle: [Block] = []
    var failure: Failure?
  }

  private let descriptor: Int32
  /// True when the descriptor cannot seek, such as a pipe.
  private let isStream: Bool
  private let shared = Monitor(Shared())
  /// The block that the caller is filling.
  private var current: Block?
  /// The number of bytes appended so far.
  private(set) var byteCount = 0

  /// Creates a writer; the caller must call ``finish()`` in the end.
  init(descriptor: Int32, isStream: Bool = false) {
    self.descriptor = descriptor
    self.isStream = isStream
  }

  /// Appends `count` bytes. `fill` writes them into the blocks, in pieces that do not cross a block's end.
  ///
  /// - Throws: Errors of `fill`.
  func append<E: Error>(
    byteCount count: Int, fill: (UnsafeMutableRawBufferPointer) throws(E) -> Void
  ) throws(E) {
    try append(byteCount: count) { block, range throws(E) in
      try unsafe fill(UnsafeMutableRawBufferPointer(rebasing: block.bytes[range]))
    }
  }

  /// Appends the bytes of `feed`, which are read later, possibly on another thread.
  ///
  /// - Parameter appended: Called with the number of bytes of `feed` that are assigned to blocks so far.
  /// - Throws: Errors of `appended`.
  func append<E: Error>(_ feed: any BlockSource, appended: (Int) throws(E) -> Void) throws(E) {
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

  /// Writes the last block and waits for all writes.
  ///
  /// - Returns: The failure at the lowest offset; nil without one.
  func finish() -> Failure? {
    if let block = current {
      current = nil
      write(block)
    }
    shared.wait { $0.pendingCount == 0 ? () : nil }
    return shared.withLock {
      // Frees the blocks now: a conversion keeps several finished files until the first one gets its name.
      $0.idle = []
      return $0.failure
    }
  }

  /// Overwrites bytes that ``finish()`` has waited for; not for streams.
  func replace(at offset: Int, with bytes: [UInt8]) -> Failure? {
    unsafe bytes.withUnsafeBytes { unsafe write($0, at: offset) }
  }

  private func nextBlock() -> Block {
    let block = shared.withLock {
      // At most three blocks exist: one being filled, one being written and one queued.
      if $0.idle.isEmpty { $0.idle = Block.made(byteCount == 0 ? 1 : 2) }
      return $0.idle.removeLast()
    }
    block.begin(at: byteCount)
    current = block
    return block
  }

  /// Queues a full block for the worker thread, or writes it here.
  private func release(_ block: Block) {
    current = nil
    if !enqueue(block) { write(block) }
  }

  /// Queues a block for the worker thread; false when its queue is full, or there is no thread.
  private func enqueue(_ block: Block) -> Bool {
    guard !isStream, shared.withLock({ $0.pendingCount < Self.pendingCount }) else { return false }
    shared.withLock { $0.pendingCount += 1 }
    let isTaken = BackgroundThread.shared.run { [self] in
      write(block)
      shared.withLock { $0.pendingCount -= 1 }
    }
    if !isTaken { shared.withLock { $0.pendingCount -= 1 } }
    return isTaken
  }

  private func write(_ block: Block) {
    // After a failure the file is discarded, so further reads and writes are skipped.
    let failure = shared.withLock { $0.failure == nil } ? complete(block) : nil
    shared.withLock {
      if let failure, failure.offset < $0.failure?.offset ?? .max { $0.failure = failure }
      $0.idle.append(block)
    }
  }

  /// Reads the block's parts from their feeds, then writes the block.
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
