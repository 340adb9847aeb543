internal import DecantBytes
internal import DecantFormats

/// Scans of GGUF files: keys and values, descriptions of tensors, then the tensors.
///
/// Source: the GGUF specification (ggml `docs/gguf.md`); docs/formats/gguf.md.
extension ContentScan {
  /// Scans a GGUF file. Returns false when the bytes are not one of a known version.
  func scanGGUF(_ bytes: RawSpan, in place: String) -> Bool {
    guard bytes.begins("GGUF"), var version = bytes.little(UInt32.self, 4) else { return false }
    // No version is a multiple of 65,536, so these bytes are in big-endian order.
    let isBigEndian = version & 0xFFFF == 0
    if isBigEndian { version = version.byteSwapped }
    guard 1...3 ~= version else { return false }
    guard version > 1 else {
      audit.report(
        .unreadable, .malformed, in: place, at: 4, "GGUF version 1, which current readers refuse")
      ledger.markUnread(0..<bytes.byteCount)
      return true
    }
    var header = GGUFHeader(isBigEndian: isBigEndian, limits: audit.limits)
    do throws(GGUFHeader.Fault) {
      try header.read(bytes) { key, range in scanText(key, bytes, range, in: place) }
      let end = try header.readTensors(bytes, ledger)
      reportTrailing(bytes, from: end, in: place)
    } catch {
      ledger.markUnread(0..<bytes.byteCount)
      switch error {
      case .header(let fault):
        audit.report(
          .unreadable, .malformed, in: place, at: fault.offset,
          "the header is damaged or cut short: \(fault.reason)")
      case .data(let fault):
        audit.report(.unknown, .malformed, in: place, at: fault.offset, fault.reason)
      case .limit(let fault): audit.report(.unknown, .limit, in: place, at: fault.offset, fault.reason)
      }
    }
    for fault in header.oddities {
      audit.report(.unknown, .malformed, in: place, at: fault.offset, fault.reason)
    }
    return true
  }

  /// Scans the text of a key: a template, or plain text.
  private func scanText(_ key: [UInt8], _ bytes: RawSpan, _ range: Range<Int>, in place: String) {
    guard range.count <= audit.limits.headerBytes else {
      audit.report(
        .unknown, .limit, in: place, at: range.lowerBound,
        "\(Self.display(key)) has \(Format.count(range.count, "byte")), too many to scan")
      return
    }
    audit.judge(byteCount: range.count)
    guard audit.spend(range.count / 4) else { return }
    let text = bytes.copy(range)
    guard JinjaLexer.holdsTags(text) else {
      if let marker = ScriptMarkers.first(in: text) {
        audit.report(
          .unknown, .metadataScript, in: place, at: range.lowerBound + marker.offset,
          "\(Self.display(key)) holds \(marker.text.escapedForDisplay)")
      }
      return
    }
    for finding in JinjaTemplate(text).findings {
      audit.report(
        finding.severity, .templateCode, in: place, at: range.lowerBound + finding.offset,
        "the template \(Self.display(key)): \(finding.what)")
    }
  }

  private static func display(_ key: [UInt8]) -> String {
    String(decoding: key.prefix(80), as: UTF8.self).escapedForDisplay
  }
}

/// The header of a GGUF file, read for the places of its parts.
struct GGUFHeader {
  /// Why a file cannot be followed to its end.
  enum Fault: Error {
    case header(ParsingError)
    case data(ParsingError)
    case limit(ParsingError)
  }

  private let isBigEndian: Bool
  private let limits: Limits
  /// The offset of the next byte to read.
  private var offset = 8
  private var alignment = 32
  /// The bytes of each tensor, counted from the start of the data.
  private var tensors: [(range: Range<Int>, offset: Int)] = []
  private(set) var oddities: [ParsingError] = []

  /// The most levels of nested arrays; known writers do not nest arrays.
  private static let maxDepth = 8

  init(isBigEndian: Bool, limits: Limits) {
    self.isBigEndian = isBigEndian
    self.limits = limits
  }

  /// Reads the keys and values, and the descriptions of the tensors. O(header).
  ///
  /// - Parameter text: Called with each text that is the value of a key or an element of an array of texts, but not
  ///   with the tokens and merges of a vocabulary, of which no program makes a template.
  mutating func read(_ bytes: RawSpan, text: (_ key: [UInt8], _ range: Range<Int>) -> Void) throws(Fault) {
    let tensorCount = try count(bytes, of: "tensors", size: 24)
    let keyCount = try count(bytes, of: "keys", size: 13)
    guard tensorCount <= limits.paths, keyCount <= limits.paths else {
      throw .limit(
        ParsingError(offset: 8, "\(tensorCount) tensors and \(keyCount) keys are too many to scan"))
    }
    var names: Set<Int> = []
    for _ in 0..<keyCount {
      let start = offset
      let key = bytes.copy(try textRange(bytes))
      if !names.insert(key.hashValue).inserted { note("a key appears twice", at: start) }
      if String(validating: key, as: UTF8.self) == nil { note("a key is not UTF-8", at: start) }
      try readValue(bytes, key, text)
    }
    names = []
    for _ in 0..<tensorCount {
      let start = offset
      let name = bytes.copy(try textRange(bytes))
      if !names.insert(name.hashValue).inserted { note("two tensors have one name", at: start) }
      if String(validating: name, as: UTF8.self) == nil { note("a tensor's name is not UTF-8", at: start) }
      try readTensor(bytes, at: start)
    }
  }

  /// Claims the header, the tensors and their padding. Returns the offset of their end.
  ///
  /// Each tensor must begin at the next multiple of the alignment, after padding of zeros, as ggml requires.
  func readTensors(_ bytes: RawSpan, _ ledger: ByteLedger) throws(Fault) -> Int {
    func isPadding(_ range: Range<Int>) -> Bool {
      guard bytes.holdsOnly(0, in: range) else { return false }
      ledger.claim(range, as: .padding)
      return true
    }
    ledger.claim(0..<offset, as: .structure)
    // A file without tensors, such as a vocabulary, may end without padding.
    if tensors.isEmpty, offset == bytes.byteCount { return offset }
    guard let start = Self.aligned(offset, to: alignment), start <= bytes.byteCount else {
      throw .data(ParsingError(offset: offset, "the file ends before its tensors"))
    }
    guard isPadding(offset..<start) else {
      throw .data(ParsingError(offset: offset, "the padding before the tensors is not zero"))
    }
    var end = 0
    let order = tensors.sorted {
      ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
    }
    for tensor in order {
      func fault(_ reason: String) -> Fault { .data(ParsingError(offset: tensor.offset, reason)) }
      let begin = tensor.range.lowerBound
      guard begin % alignment == 0 else {
        throw fault("a tensor's offset is not a multiple of the alignment")
      }
      guard begin >= end else { throw fault("a tensor shares bytes with another") }
      guard let last = start.checkedAdding(tensor.range.upperBound), last <= bytes.byteCount else {
        throw fault("a tensor extends beyond the end of the file")
      }
      guard begin - end < alignment, isPadding(start + end..<start + begin) else {
        throw fault("\(Format.count(begin - end, "byte")) before a tensor belong to none")
      }
      ledger.claim(start + begin..<last, as: .tensor)
      end = tensor.range.upperBound
    }
    let last = start + end
    // The last tensor's padding may be missing.
    let padded = min(Self.aligned(last, to: alignment) ?? last, bytes.byteCount)
    return isPadding(last..<padded) ? padded : last
  }

  private static func aligned(_ offset: Int, to alignment: Int) -> Int? {
    offset.checkedAdding((alignment - offset % alignment) % alignment)
  }

  private mutating func note(_ reason: String, at offset: Int) {
    if oddities.count < 10 { oddities.append(ParsingError(offset: offset, reason)) }
  }

  private func fault(_ reason: String) -> Fault { .header(ParsingError(offset: offset, reason)) }

  private mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(
    _ type: T.Type, _ bytes: RawSpan
  ) throws(Fault) -> T {
    guard let value = bytes.little(type, offset) else { throw fault("it ends here") }
    offset += MemoryLayout<T>.size
    return isBigEndian ? value.byteSwapped : value
  }

  /// Reads a count of parts of at least `size` bytes each.
  private mutating func count(_ bytes: RawSpan, of things: String, size: Int) throws(Fault) -> Int {
    let announced = try integer(UInt64.self, bytes)
    guard let count = Int(exactly: announced), count <= (bytes.byteCount - offset) / size else {
      throw fault("\(announced) \(things) are announced, but \(bytes.byteCount - offset) bytes follow")
    }
    return count
  }

  /// Reads a text's count and returns the range of its bytes.
  private mutating func textRange(_ bytes: RawSpan) throws(Fault) -> Range<Int> {
    let count = try count(bytes, of: "bytes of text", size: 1)
    defer { offset += count }
    return offset..<offset + count
  }

  /// The number of bytes of a value, by its type's code; nil for texts, arrays and codes that do not exist.
  private static let byteCounts: [UInt32: Int] = [
    0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8,
  ]
  private static let textType: UInt32 = 8
  private static let arrayType: UInt32 = 9

  private mutating func readValue(
    _ bytes: RawSpan, _ key: [UInt8], _ text: ([UInt8], Range<Int>) -> Void
  ) throws(Fault) {
    let type = try integer(UInt32.self, bytes)
    if key.elementsEqual("general.alignment".utf8) {
      guard type == 4 else { throw fault("general.alignment is not of type uint32") }
      let value = Int(try integer(UInt32.self, bytes))
      guard value > 0, value.nonzeroBitCount == 1 else {
        throw fault("general.alignment is not a power of two")
      }
      alignment = value
      return
    }
    switch type {
    case Self.textType: text(key, try textRange(bytes))
    case Self.arrayType:
      let isVocabulary = key.starts(with: "tokenizer.ggml.".utf8)
      try readArray(bytes, depth: 1) { range in if !isVocabulary { text(key, range) } }
    default: try skip(bytes, type, count: 1)
    }
  }

  private mutating func readArray(_ bytes: RawSpan, depth: Int, _ text: (Range<Int>) -> Void) throws(Fault) {
    let type = try integer(UInt32.self, bytes)
    let count = try count(bytes, of: "elements", size: Self.byteCounts[type] ?? 8)
    switch type {
    case Self.textType: for _ in 0..<count { text(try textRange(bytes)) }
    case Self.arrayType:
      guard depth < Self.maxDepth else {
        throw .limit(ParsingError(offset: offset, "arrays nest more than \(Self.maxDepth) deep"))
      }
      for _ in 0..<count { try readArray(bytes, depth: depth + 1, text) }
    default: try skip(bytes, type, count: count)
    }
  }

  private mutating func skip(_ bytes: RawSpan, _ type: UInt32, count: Int) throws(Fault) {
    guard let size = Self.byteCounts[type] else { throw fault("the type \(type) does not exist") }
    guard count <= (bytes.byteCount - offset) / size else { throw fault("it ends inside a value") }
    offset += count * size
  }

  private mutating func readTensor(_ bytes: RawSpan, at start: Int) throws(Fault) {
    let rank = try integer(UInt32.self, bytes)
    guard rank <= limits.rank else { throw fault("a tensor has \(rank) dimensions") }
    var sizes: [Int] = []
    for _ in 0..<rank {
      guard let size = Int(exactly: try integer(UInt64.self, bytes)) else {
        throw fault("a tensor has a size of more than 63 bits")
      }
      sizes.append(size)
    }
    let code = try integer(UInt32.self, bytes)
    let begin = try integer(UInt64.self, bytes)
    guard let block = GGMLBlock(code) else { throw fault("the tensor type \(code) does not exist") }
    guard (sizes.first ?? 1) % block.elementCount == 0, let count = checkedProduct(sizes),
      let byteCount = (count / block.elementCount).checkedMultiplying(by: block.byteCount),
      let begin = Int(exactly: begin), let end = begin.checkedAdding(byteCount)
    else { throw fault("a tensor's sizes do not fit its type \(block.name), or any file") }
    tensors.append((begin..<end, start))
  }
}
