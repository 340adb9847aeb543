/// A source of a storage's bytes. File readers implement it.
///
/// Both methods give the same bytes. `read` copies a range into the caller's buffer. `mappedBytes` returns
/// all bytes without a copy where that is possible.
package protocol StorageContent: Sendable {
  /// The number of bytes.
  var byteCount: Int { get }

  /// Reads the bytes at `offset` into `buffer`.
  ///
  /// - Throws: when the bytes cannot be read, or `offset + buffer.count` exceeds `byteCount`.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws

  /// Returns all bytes without a copy, or nil when they are not in memory and cannot be mapped.
  ///
  /// The pointer is valid for the lifetime of the content, not only during the call.
  func mappedBytes() throws -> UnsafeRawBufferPointer?

  /// True when the cost of a read depends only on its length, not on its offset or on earlier reads.
  ///
  /// The default is false: computed or decompressed bytes are read from first to last.
  var isRandomAccess: Bool { get }

  /// True when the bytes are computed from other tensors. The default is false.
  ///
  /// Casts to a protocol are slow, so this is asked of every tensor instead.
  var isComputed: Bool { get }
}

extension StorageContent {
  package var isRandomAccess: Bool { false }
  package var isComputed: Bool { false }

  /// Checks that a read of `count` bytes stays inside.
  ///
  /// - Throws: ``DecantError`` of code `invalidArgument`.
  package func requireInside(_ offset: Int, _ count: Int) throws(DecantError) {
    guard offset >= 0, offset <= byteCount, count <= byteCount - offset else {
      throw DecantError(
        .invalidArgument,
        "a read of \(Format.count(count, "byte")) at \(offset) ends outside the \(Format.count(byteCount, "byte"))"
      )
    }
  }
}

/// Bytes in memory, 64-byte aligned. They never change after initialisation, hence `@unchecked Sendable`.
@safe package final class BytesInMemory: StorageContent, @unchecked Sendable {
  private let bytes: UnsafeRawBufferPointer

  /// Copies `bytes`. O(length).
  package init(_ bytes: some Collection<UInt8>) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
    unsafe buffer.copyBytes(from: bytes)
    unsafe self.bytes = UnsafeRawBufferPointer(buffer)
  }

  /// Creates `byteCount` bytes that `fill` writes.
  package init(byteCount: Int, fill: (UnsafeMutableRawBufferPointer) throws -> Void) rethrows {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
    do { try unsafe fill(buffer) } catch {
      unsafe buffer.deallocate()
      throw error
    }
    unsafe self.bytes = UnsafeRawBufferPointer(buffer)
  }

  deinit { unsafe bytes.deallocate() }

  package var byteCount: Int { unsafe bytes.count }

  package var isRandomAccess: Bool { true }

  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    let count = buffer.count
    try requireInside(offset, count)
    unsafe buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count]))
  }

  package func mappedBytes() -> UnsafeRawBufferPointer? { unsafe bytes }

  /// A copy of the bytes as an array. O(length).
  package var copied: [UInt8] { unsafe [UInt8](bytes) }
}
