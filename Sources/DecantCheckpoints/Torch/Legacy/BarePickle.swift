internal import DecantBytes
internal import DecantFormats
internal import DecantIO
internal import DecantPickle
internal import DecantTensors

/// A reader of files with a single pickle that holds all values, as `pickle.dump` writes.
enum BarePickle {
  /// The largest number of pickles of one file that the disassembler shows.
  private static let streamsShown = 1_000

  /// Lists the values of a file's first pickle.
  static func open(
    _ source: ByteSource, limits: Limits, nesting: Int
  ) throws(DecantError) -> Checkpoint.Parts {
    var sequence = PickleSequence(source, limits: limits)
    let graph: PickleGraph
    do throws(DecantError) { graph = try sequence.next("the pickle") } catch {
      // joblib puts array data between the opcodes, where interpretation fails. Its wrapper class is named before
      // that offset.
      let before = try source.bytes(at: 0, count: min(error.location.offset ?? 0, source.byteCount, 1 << 20))
      guard let unsupported = UnsupportedFile(joblib: before) else { throw error }
      throw unsupported.error(file: source.path)
    }
    return try list(graph, sequence, nesting: nesting)
  }

  /// Lists a file without a known signature, if it is a pickle; nil otherwise. Pickles of protocols 0 and 1 have no
  /// signature.
  static func openIfAny(
    _ source: ByteSource, limits: Limits, nesting: Int
  ) throws(DecantError) -> Checkpoint.Parts? {
    var sequence = PickleSequence(source, limits: limits)
    guard let graph = try? sequence.next("the pickle") else { return nil }
    return try list(graph, sequence, nesting: nesting)
  }

  private static func list(
    _ graph: PickleGraph, _ sequence: PickleSequence, nesting: Int
  ) throws(DecantError) -> Checkpoint.Parts {
    let source = sequence.source
    var warnings = sequence.warnings
    if sequence.bytesLeft > 0 {
      warnings.append(
        "\(sequence.bytesLeft) bytes follow the pickle at offset \(sequence.offset) and were skipped")
    }
    do throws(DecantError) {
      let contents = try PickledContents.list(
        graph, path: source.path, nesting: nesting, limits: sequence.limits
      ) { reference throws(DecantError) in
        throw DecantError(
          .partMissing,
          "the data is in storage \(reference.key.escapedForDisplay), which is outside this pickle",
          remedy: "Pass the checkpoint that the pickle was extracted from.")
      }
      return Checkpoint.Parts(
        container: .pickle, contents: contents, warnings: warnings,
        containerMetadata: [("pickle protocol", String(graph.protocolVersion))])
    } catch { throw error.located(file: source.path) }
  }

  /// Returns the pickles of a file for the disassembler: the first, and the complete ones that follow it.
  static func streams(_ source: ByteSource, limits: Limits) -> [PickleSequence.Stream] {
    var sequence = PickleSequence(source, limits: limits)
    var whole: [PickleSequence.Stream] = []
    while (try? sequence.next("a pickle")) != nil {
      whole = sequence.streams
      if sequence.bytesLeft == 0 || whole.count == Self.streamsShown { break }
    }
    return whole.isEmpty ? sequence.streams : whole
  }
}
