/// Where a storage's bytes are; whoever reads files implements this.
///
/// Both ways give the same bytes: `read` copies a part into a caller's buffer, `withBytes` lends all of them
/// without a copy where that is possible.
package protocol StorageContent: Sendable {
  /// How many bytes there are.
  var byteCount: Int { get }

  /// Fills `buffer` with the bytes that begin at `offset`.
  ///
  /// - Throws: when the bytes cannot be read, or `offset + buffer.count` lies beyond `byteCount`.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws

  /// Lends every byte without a copy, or returns nil when they are not in memory and cannot be mapped.
  ///
  /// The pointer is valid for as long as the content lives, not only during the call.
  func mappedBytes() throws -> UnsafeRawBufferPointer?

  /// Whether a read costs what its bytes cost, wherever it begins and whatever was read before.
  ///
  /// By default it is not: bytes that are worked out as they pass are read from first to last.
  var isRandomAccess: Bool { get }
}

extension StorageContent {
  package var isRandomAccess: Bool { false }
}

/// Bytes held in memory, 64-byte aligned; never changed after they are made, hence `@unchecked Sendable`.
@safe package final class BytesInMemory: StorageContent, @unchecked Sendable {
  private let bytes: UnsafeRawBufferPointer

  /// Copies `bytes`; O(length).
  package init(_ bytes: some Collection<UInt8>) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 64)
    unsafe buffer.copyBytes(from: bytes)
    unsafe self.bytes = UnsafeRawBufferPointer(buffer)
  }

  /// Lets `fill` write `byteCount` bytes.
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
    guard offset >= 0, offset <= byteCount, count <= byteCount - offset else {
      throw DecantError(
        .invalidArgument, "\(count) bytes at \(offset) are outside a storage of \(byteCount) bytes")
    }
    unsafe buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count]))
  }

  package func mappedBytes() -> UnsafeRawBufferPointer? { unsafe bytes }

  /// The bytes as an array. O(length).
  package var copied: [UInt8] { unsafe [UInt8](bytes) }
}
