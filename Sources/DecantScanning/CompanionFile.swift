internal import DecantBytes
internal import DecantPickle

/// Files that model folders and archives hold next to weights: texts such as README, LICENSE, configurations and tokenizers, the
/// vocabularies of SentencePiece, pictures, and empty files.
///
/// Only the content decides, never the name. Loading such a file as a checkpoint fails before it calls anything.
enum CompanionFile {
  /// The longest text that is read to its end, in bytes.
  private static let longestText = 256 << 20

  /// Returns true for a companion file. O(bytes) for texts.
  ///
  /// - Parameter format: The format that the scan found, or nil.
  static func recognises(_ bytes: RawSpan, _ format: ContentFormat?, _ audit: FileAudit) -> Bool {
    switch format {
    case nil: isText(bytes) && breaksBeforeCalls(bytes, audit) || isPicture(bytes) || isVocabulary(bytes)
    case .pickle: isText(bytes) && breaksBeforeCalls(bytes, audit, mustBreak: true)
    default: false
    }
  }

  private static func isText(_ bytes: RawSpan) -> Bool {
    bytes.byteCount <= longestText && bytes.first([0], in: 0..<bytes.byteCount) == nil
      && String(validating: bytes.all, as: UTF8.self) != nil
  }

  /// Returns true when a text makes no calls as a pickle, and imports nothing but names that no library is known for: a
  /// list of words, `cat\ndog\n`, begins with an import.
  private static func breaksBeforeCalls(_ bytes: RawSpan, _ audit: FileAudit, mustBreak: Bool = false) -> Bool
  {
    guard Sniffing.mayBePickle(bytes) else { return true }
    let (graph, error) = PickleMachine.interpretAsFarAsPossible(bytes, limits: audit.limits)
    if mustBreak && error?.cause != .invalid && error?.cause != .truncated { return false }
    let calls = graph.nodes.contains {
      switch $0 {
      case .object, .extensionCode, .persistentID: true
      default: false
      }
    }
    guard !calls, graph.irregularBuilds.isEmpty, graph.irregularAdditions.isEmpty else { return false }
    return graph.imports.allSatisfy {
      guard let global = graph.global($0.value) else { return false }
      if case .unknown(.libraryName, _) = audit.standing(module: global.module, name: global.name) {
        return true
      }
      return false
    }
  }

  private static func isPicture(_ bytes: RawSpan) -> Bool {
    bytes.begins([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) || bytes.begins([0xFF, 0xD8, 0xFF])
      || bytes.begins("GIF8") || bytes.begins("RIFF") && bytes.begins("WEBP", at: 8)
  }

  /// Returns true for a vocabulary of SentencePiece: a protobuf message whose fields fill the file, and whose first
  /// field is a piece. Its first byte is not an opcode of a pickle.
  private static func isVocabulary(_ bytes: RawSpan) -> Bool {
    guard bytes.byte(0) == 0x0A else { return false }
    var offset = 0
    func varint() -> UInt64? {
      var value: UInt64 = 0
      for shift in stride(from: 0, to: 63, by: 7) {
        guard let byte = bytes.byte(offset) else { return nil }
        offset += 1
        value |= UInt64(byte & 0x7F) << UInt64(shift)
        if byte < 0x80 { return value }
      }
      return nil
    }
    while offset < bytes.byteCount {
      // The pieces, and the specifications of the trainer, the normalizer, the self-test and the denormalizer.
      guard let tag = varint(), 1...5 ~= tag >> 3, tag & 7 == 2, let length = varint(),
        let count = Int(exactly: length), count <= bytes.byteCount - offset
      else { return false }
      offset += count
    }
    return true
  }
}
