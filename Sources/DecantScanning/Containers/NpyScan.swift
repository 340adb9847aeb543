internal import DecantBytes
internal import DecantPickle

/// Scans of NumPy's `.npy` files: a header in Python's notation, then numbers, or a pickle when the elements are
/// objects.
///
/// Source: NumPy's format 1.0 to 3.0, `numpy/lib/_format_impl.py`.
extension ContentScan {
  /// The maximum number of arrays in a row that are scanned.
  private static let mostArrays = 1_000

  /// Scans arrays from the start, since `numpy.load` can be called again on the same open file. Returns false when the
  /// bytes are not an array.
  func scanNpy(_ bytes: RawSpan, in place: String) -> Bool {
    guard NpyDescription.range(in: bytes) != nil else { return false }
    var offset = 0
    var number = 1
    while let range = NpyDescription.range(in: bytes.part(offset..<bytes.byteCount)) {
      let label = number == 1 ? place : join(place, "array \(number)")
      let array = bytes.part(offset..<bytes.byteCount)
      guard let (length, owner) = scanArray(array, header: range, in: label) else {
        ledger.markUnread(offset..<bytes.byteCount)
        return true
      }
      ledger.claim(offset..<offset + range.upperBound, as: .structure)
      ledger.claim(offset + range.upperBound..<offset + length, as: owner)
      offset += length
      guard offset < bytes.byteCount else { return true }
      number += 1
      guard number <= Self.mostArrays else {
        ledger.markUnread(offset..<bytes.byteCount)
        audit.report(.unknown, .limit, in: place, at: offset, "more than \(Self.mostArrays) arrays in a row")
        return true
      }
      if number == 2, NpyDescription.range(in: bytes.part(offset..<bytes.byteCount)) != nil {
        audit.report(
          .unknown, .secondStream, in: place, at: offset, "another array follows; a second load call reads it"
        )
      }
    }
    let rest = bytes.part(offset..<bytes.byteCount)
    // numpy.load reads anything that is neither an array nor a zip archive as a pickle.
    if inside(as: .file).scan(rest, in: join(place, "after the array")) == nil {
      reportTrailing(bytes, from: offset, in: place)
    } else {
      ledger.claim(offset..<bytes.byteCount, as: .nested)
      audit.report(
        .unknown, .secondStream, in: place, at: offset, "more data follows; a second load call reads it")
    }
    return true
  }

  /// Scans one array. Returns its length in bytes and the kind of its data, or nil when its end cannot be determined,
  /// which is then reported.
  private func scanArray(
    _ bytes: RawSpan, header range: Range<Int>, in place: String
  ) -> (length: Int, data: ByteLedger.Owner)? {
    audit.judge(byteCount: range.count)
    // NumPy refuses headers of more than 10,000 bytes, and the check of a type is not cheap.
    guard audit.spend(range.count > 1 << 16 ? range.count : 0) else { return nil }
    let description: NpyDescription
    do throws(ParsingError) {
      description = try NpyDescription(bytes.part(range), isUTF8: bytes.byte(6) == 3)
    } catch {
      // numpy.dtype understands many more spellings than NumPy writes, and some of them are types of objects.
      audit.report(
        .unknown, .malformed, in: place, at: range.lowerBound,
        "NumPy does not write such a header (\(error.reason)), so the data is also read as a pickle")
      return scanObjects(bytes, from: range.upperBound, in: place, isCertain: false)
    }
    guard let size = description.elementByteCount else {
      return scanObjects(bytes, from: range.upperBound, in: place, isCertain: true)
    }
    guard let count = checkedProduct(description.shape)?.checkedMultiplying(by: size),
      let end = count.checkedAdding(range.upperBound), end <= bytes.byteCount
    else {
      audit.report(
        .unknown, .malformed, in: place, at: range.upperBound,
        "the shape \(description.shape) needs more bytes than the \(Format.count(bytes.byteCount - range.upperBound)) that follow"
      )
      return nil
    }
    return (end, .tensor)
  }

  /// Scans the pickle of an array of objects. Returns the offset of its end, or nil when it is not read to its end.
  private func scanObjects(_ bytes: RawSpan, from start: Int, in place: String, isCertain: Bool) -> (
    length: Int, data: ByteLedger.Owner
  )? {
    let content = bytes.part(start..<bytes.byteCount)
    let (graph, error) = interpret(content)
    guard isCertain || error == nil || hasPlausibleImports(graph) || hidesImports(graph, in: content) else {
      NameSearch.report(content, from: 0, in: place, audit)
      return nil
    }
    follow(graph, of: content, in: place)
    if let error {
      reportBreak(error, graph, content, at: 0, in: place)
      return nil
    }
    return (start + graph.byteCount, .pickle)
  }
}

/// The header of a `.npy` file as far as NumPy's writers use its notation.
///
/// `numpy.load` evaluates the header as a Python literal and passes `descr` to `numpy.dtype`, which knows many spellings.
/// This parser knows those that NumPy writes, and throws for all others.
struct NpyDescription {
  /// The number of bytes of one element; nil for elements that are or contain Python objects.
  let elementByteCount: Int?
  let shape: [Int]

  /// The longest header that is parsed, in bytes. NumPy refuses more than 10,000 by default (`max_header_size`).
  private static let longest = 1 << 16

  /// Returns the range of the header in the bytes of an array; nil for other bytes.
  static func range(in bytes: RawSpan) -> Range<Int>? {
    guard bytes.begins([0x93, 0x4E, 0x55, 0x4D, 0x50, 0x59]), let major = bytes.byte(6), 1...3 ~= major,
      bytes.byte(7) == 0
    else { return nil }
    let start = major == 1 ? 10 : 12
    let count =
      major == 1 ? bytes.little(UInt16.self, 8).map(Int.init) : bytes.little(UInt32.self, 8).map(Int.init)
    guard let count, count <= bytes.byteCount - start else { return nil }
    return start..<start + count
  }

  /// Parses a header. O(length).
  ///
  /// - Parameter isUTF8: True for format 3.0; earlier ones are Latin-1.
  init(_ header: RawSpan, isUTF8: Bool) throws(ParsingError) {
    func fail(_ reason: String) -> ParsingError { ParsingError(offset: 0, reason) }
    guard header.byteCount <= Self.longest else {
      throw fail("it has \(Format.count(header.byteCount, "byte"))")
    }
    let bytes = header.all
    let text: [Unicode.Scalar]
    if isUTF8 {
      guard let decoded = String(validating: bytes, as: UTF8.self) else { throw fail("it is not UTF-8") }
      text = Array(decoded.unicodeScalars)
    } else {
      text = bytes.map { Unicode.Scalar($0) }
    }
    let literal = try PythonLiteral(parsing: text, .numpyHeader(allowsLongIntegers: !isUTF8))
    guard case .dictionary(let pairs) = literal,
      pairs.map(\.key).sorted() == ["descr", "fortran_order", "shape"]
    else { throw fail("its keys are not descr, fortran_order and shape") }
    func value(_ key: String) -> PythonLiteral { pairs.first { $0.key == key }?.value ?? .none }
    guard case .bool = value("fortran_order") else { throw fail("fortran_order is not a bool") }
    guard case .tuple = value("shape"), let shape = Self.sizes(value("shape")) else {
      throw fail("shape is not a tuple of sizes")
    }
    self.shape = shape
    guard let elements = Self.elements(value("descr")) else { throw fail("descr is not a type") }
    switch elements {
    case .objects: elementByteCount = nil
    case .bytes(let count): elementByteCount = count
    }
  }

  private enum Elements {
    case bytes(Int)
    case objects

    func times(_ count: Int) -> Elements? {
      switch self {
      case .objects: .objects
      case .bytes(let size): size.checkedMultiplying(by: count).map { .bytes($0) }
      }
    }
  }

  /// Returns the elements of a type; nil for a spelling that NumPy does not write.
  private static func elements(_ descr: PythonLiteral) -> Elements? {
    switch descr {
    case .text(let name): return elements(named: name)
    case .tuple(let parts):
      guard parts.count == 2 else { return nil }
      return elements(parts[0], shape: parts[1])
    case .list(let fields):
      var total = 0
      var holdsObjects = false
      for field in fields {
        guard case .tuple(let parts) = field, 2...3 ~= parts.count, isFieldName(parts[0]),
          let inner = parts.count == 3 ? elements(parts[1], shape: parts[2]) : elements(parts[1])
        else { return nil }
        switch inner {
        case .objects: holdsObjects = true
        case .bytes(let size):
          guard let sum = total.checkedAdding(size) else { return nil }
          total = sum
        }
      }
      return holdsObjects ? .objects : .bytes(total)
    default: return nil
    }
  }

  /// Returns the elements of a type with a shape. NumPy uses the shape as the size of a type
  /// without one, so such a type gives nil.
  private static func elements(_ type: PythonLiteral, shape: PythonLiteral) -> Elements? {
    guard let inner = elements(type), let count = sizes(shape).flatMap({ checkedProduct($0) }) else {
      return nil
    }
    if case .bytes(0) = inner { return nil }
    return inner.times(count)
  }

  private static func isFieldName(_ name: PythonLiteral) -> Bool {
    switch name {
    case .text: true
    case .tuple(let parts):
      parts.count == 2 && parts.allSatisfy { if case .text = $0 { true } else { false } }
    default: false
    }
  }

  /// Returns the sizes of a shape; nil for an invalid one.
  private static func sizes(_ shape: PythonLiteral) -> [Int]? {
    switch shape {
    case .integer(let size?): return size >= 0 ? [size] : nil
    case .tuple(let parts):
      let sizes = parts.compactMap { if case .integer(let size?) = $0, size >= 0 { size } else { nil } }
      return sizes.count == parts.count ? sizes : nil
    default: return nil
    }
  }

  /// The numbers that NumPy writes, by their names without byte order; the digits are the number of bytes.
  private static let numbers: Set<String> = [
    "b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "f12", "f16", "c8", "c16", "c24",
    "c32",
  ]

  /// The units of dates and time spans.
  private static let units: Set<String> = [
    "Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as", "generic",
  ]

  private static func elements(named text: String) -> Elements? {
    guard text.utf8.allSatisfy({ $0 < 0x80 }) else { return nil }
    var name = text[...]
    if let mark = name.first, "<>|=".contains(mark) { name = name.dropFirst() }
    guard let kind = name.first else { return nil }
    let rest = String(name.dropFirst())
    if numbers.contains(String(name)) { return Int(rest).map { .bytes($0) } }
    switch kind {
    case "O": return ["", "4", "8"].contains(rest) ? .objects : nil
    case "S", "V", "U":
      guard rest.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), rest.utf8.count < 11,
        let count = rest.isEmpty ? 0 : Int(rest), count <= Int32.max
      else { return nil }
      return .bytes(kind == "U" ? count * 4 : count)
    case "M", "m":
      if rest == "8" { return .bytes(8) }
      guard rest.hasPrefix("8["), rest.hasSuffix("]") else { return nil }
      let unit = rest.dropFirst(2).dropLast().drop { ("0"..."9").contains($0) }
      return units.contains(String(unit)) ? .bytes(8) : nil
    default: return nil
    }
  }
}
