package import DecantBytes
internal import Synchronization

/// The content of a storage whose elements are computed from other tensors when they are read.
package protocol ComputedContent: StorageContent {
  /// The tensors that the elements are computed from.
  var sources: [Tensor] { get }
}

extension ComputedContent {
  package var isComputed: Bool { true }
}

extension Tensor {
  /// The tensors whose bytes in the file decide this one's elements: the tensor itself and its parts, or the tensors
  /// that it is computed from.
  package var sources: [Tensor] { (storage.content?.isComputed ?? false ? [] : [self]) + otherSources }

  /// The ``sources`` other than the tensor itself.
  package var otherSources: [Tensor] {
    guard let content = storage.content, content.isComputed, let content = content as? any ComputedContent
    else { return parts.map(\.tensor) }
    return content.sources.flatMap { [$0] + $0.parts.map(\.tensor) }
  }
}

/// Elements that are computed on the first read, and freed after the last byte was read.
struct ComputedBytes: ~Copyable {
  private let kept = Mutex<BytesInMemory?>(nil)

  /// Copies a part of the elements to a buffer.
  ///
  /// - Parameters:
  ///   - byteCount: the number of bytes of all elements.
  ///   - compute: returns all elements.
  func read(
    into buffer: UnsafeMutableRawBufferPointer, at offset: Int, of byteCount: Int,
    _ compute: () throws -> BytesInMemory
  ) throws {
    let bytes = try kept.withLock { kept in
      let bytes = try kept ?? compute()
      kept = offset + buffer.count < byteCount ? bytes : nil
      return bytes
    }
    try unsafe bytes.read(into: buffer, at: offset)
  }
}
