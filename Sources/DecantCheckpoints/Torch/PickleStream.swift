package import DecantBytes
internal import DecantFormats
internal import DecantIO
internal import DecantPickle

/// One pickle of a file, for disassembly.
package struct PickleStream: Sendable {
  /// A title such as `the list of storages`.
  package let title: String
  /// The byte offset from the start of the file; nil for an archive's entry.
  package let offset: Int?
  private let bytes: Bytes
  private let maxValueCount: Int

  private enum Bytes: Sendable {
    case memory([UInt8])
    case source(ByteSource)
  }

  /// Creates a stream from bytes in memory. `maxValueCount` limits the values that a deflated pickle may make.
  init(title: String, bytes: [UInt8], maxValueCount: Int = .max) {
    self.title = title
    self.maxValueCount = maxValueCount
    offset = nil
    self.bytes = .memory(bytes)
  }

  init(_ stream: PickleSequence.Stream, of source: ByteSource) throws(DecantError) {
    title = stream.title
    maxValueCount = .max
    offset = stream.offset
    bytes = .source(try source.part(at: stream.offset, count: stream.byteCount))
  }

  /// Calls `line` with every line of the disassembly, as `pickletools.dis` prints it.
  ///
  /// - Throws: `PickleError` where `pickletools.dis` raises; ``DecantError`` when the bytes cannot be read; whatever
  ///   `line` throws.
  package func disassemble(limits: Limits = Limits(), line: (String) throws -> Void) throws {
    let bytes = try content()
    try unsafe PickleDisassembler.disassemble(bytes.span.bytes, limits: adapted(limits), line: line)
  }

  /// Returns a warning when an opcode crosses the end of its frame. `pickletools.dis` does not show frames' ends.
  package func frameWarning(limits: Limits = Limits()) throws(DecantError) -> String? {
    let bytes = try content()
    let (graph, _) = PickleMachine.interpretAsFarAsPossible(unsafe bytes.span.bytes, limits: adapted(limits))
    return graph.frameCrossing?.warning(title.escapedForDisplay)
  }

  private func adapted(_ limits: Limits) -> Limits {
    var limits = limits
    limits.pickleValues = min(limits.pickleValues, maxValueCount)
    return limits
  }

  private func content() throws(DecantError) -> [UInt8] {
    switch bytes {
    case .memory(let bytes): bytes
    case .source(let source): try source.bytes(at: 0, count: source.byteCount)
    }
  }
}

extension Checkpoint {
  /// Returns the pickles of a file, in its order.
  ///
  /// These are a zip's `data.pkl`, the pickles after the headers of arrays of Python objects, the five of a legacy
  /// file, those of a tar's members, or those that any other file begins with.
  ///
  /// The file does not have to be a checkpoint: disassembly is most useful for files that cannot be opened.
  package static func pickleStreams(
    path: String, limits: Limits = Limits(), password: String? = nil
  ) throws(DecantError) -> [PickleStream] {
    if let folder = try CheckpointFolder(path),
      let stream = try UnzippedArchive.pickle(folder, limits: limits)
    {
      return [stream]
    }
    let source = ByteSource(try InputFile(path, password: password))
    let streams: [PickleSequence.Stream]
    switch FileKind(try source.head(), fileByteCount: source.byteCount) {
    case .zip:
      if let arrays = try NpzReader.pickles(source, limits: limits) { return arrays }
      return [try TorchZip.pickle(source, limits: limits)]
    case .npy:
      if let pickle = try NpyReader.pickle(source, limits: limits) {
        return [PickleStream(title: "the objects", bytes: pickle)]
      }
      throw withoutPickle("is an array of numbers", source)
    case .safetensors: throw withoutPickle("is a safetensors file", source)
    case .gguf: throw withoutPickle("is a GGUF file", source)
    case .onnx: throw withoutPickle("is an ONNX model", source)
    case .coreML: throw withoutPickle("is a Core ML model", source)
    case .torchLegacy: streams = TorchLegacy.streams(source, limits: limits)
    case .tar: streams = TorchTar.streams(source, limits: limits)
    default: streams = BarePickle.streams(source, limits: limits)
    }
    var found: [PickleStream] = []
    for stream in streams { found.append(try PickleStream(stream, of: source)) }
    return found
  }

  /// Returns the error of a file of a format that holds no pickle.
  private static func withoutPickle(_ kind: String, _ source: ByteSource) -> DecantError {
    DecantError(.invalidArgument, "\(kind), so it has no pickle", file: source.path, advice: .inspect)
  }
}
