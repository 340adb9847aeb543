package import DecantBytes
internal import DecantIO
internal import DecantPickle

/// One pickle of a file, to be written out opcode by opcode.
package struct PickleStream: Sendable {
  /// What it holds: `the list of storages`.
  package let title: String
  /// Bytes from the start of the file; nil when it lies in an archive's entry.
  package let offset: Int?
  private let bytes: Bytes
  private let mostValues: Int

  private enum Bytes: Sendable {
    case memory([UInt8])
    case source(ByteSource)
  }

  /// A stream in memory; `mostValues` bounds what one that was deflated may make.
  init(title: String, bytes: [UInt8], mostValues: Int = .max) {
    self.title = title
    self.mostValues = mostValues
    offset = nil
    self.bytes = .memory(bytes)
  }

  init(_ stream: PickleSequence.Stream, of source: ByteSource) throws(DecantError) {
    title = stream.title
    mostValues = .max
    offset = stream.offset
    bytes = .source(try source.part(at: stream.offset, count: stream.byteCount))
  }

  /// Hands over every line of the disassembly, as `pickletools.dis` prints it.
  ///
  /// - Throws: `PickleError` where `pickletools.dis` raises; ``DecantError`` when the bytes cannot be read;
  ///   whatever `line` throws.
  package func disassemble(limits: Limits = Limits(), line: (String) throws -> Void) throws {
    var limits = limits
    limits.pickleValues = min(limits.pickleValues, mostValues)
    let bytes =
      switch bytes {
      case .memory(let bytes): bytes
      case .source(let source): try source.bytes(at: 0, count: source.byteCount)
      }
    try unsafe PickleDisassembler.disassemble(bytes.span.bytes, limits: limits, line: line)
  }
}

extension Checkpoint {
  /// The pickles of a file in its order: a zip's `data.pkl`, what arrays of Python objects are after their headers,
  /// the five of a legacy file, those of a tar's members, or those that any other file begins with.
  ///
  /// Works on files that are no checkpoint: that is when one wants to look.
  package static func pickleStreams(
    path: String, limits: Limits = Limits()
  ) throws(DecantError) -> [PickleStream] {
    let source = ByteSource(try InputFile(path))
    let streams: [PickleSequence.Stream]
    switch FileKind(try source.head(), fileByteCount: source.byteCount) {
    case .zip:
      if let arrays = try NpzReader.pickles(source, limits: limits) { return arrays }
      return [try TorchZip.pickle(source, limits: limits)]
    case .npy:
      if let pickle = try NpyReader.pickle(source, limits: limits) {
        return [PickleStream(title: "the objects", bytes: pickle)]
      }
      streams = BarePickle.streams(source, limits: limits)
    case .torchLegacy: streams = TorchLegacy.streams(source, limits: limits)
    case .tar: streams = TorchTar.streams(source, limits: limits)
    default: streams = BarePickle.streams(source, limits: limits)
    }
    var found: [PickleStream] = []
    for stream in streams { found.append(try PickleStream(stream, of: source)) }
    return found
  }
}
