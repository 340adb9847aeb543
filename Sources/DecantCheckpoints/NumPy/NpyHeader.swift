package import DecantBytes
internal import DecantFormats
package import DecantIO
internal import DecantTensors

/// The header of a `.npy` file: element type, order, shape, and the offset of the data.
///
/// Source: NumPy `numpy/lib/_format_impl.py`; docs/formats/npy.md.
package struct NpyHeader {
  /// The kind of an array's elements.
  enum Elements {
    case numbers(DType, Storage.ByteOrder)
    /// Python objects: the data is a pickle.
    case objects
    /// Records with fields, at least one.
    case records(RecordType)
    /// A type that no tensor has, with the number of bytes of one element; nil beyond 63 bits.
    case other(byteCount: Int?)

    /// The number of bytes of one element; nil for objects and beyond 63 bits.
    var byteCount: Int? {
      switch self {
      case .numbers(let dtype, _): dtype.byteCount
      case .objects: nil
      case .records(let type): type.byteCount
      case .other(let byteCount): byteCount
      }
    }
  }

  let elements: Elements
  /// The type as the file spells it.
  package let type: String
  let isColumnMajor: Bool
  package let shape: [Int]
  /// The offset of the data from the start of the file, in bytes.
  package let dataOffset: Int

  /// The most characters of a header that NumPy reads from a file it was not told to trust.
  private static let longest = 10_000

  /// Reads and validates a header; no data.
  ///
  /// - Throws: ``DecantError`` for everything that NumPy refuses, and for spellings that its writers do not use.
  package init(_ file: ByteSource) throws(DecantError) {
    let head = try file.head(12)
    guard head.starts(with: FileSignature.npy) else {
      throw DecantError(
        .notACheckpoint, "is not a .npy file", file: file.path,
        remedy: "In Python: numpy.save(FILE, array) writes one.")
    }
    guard head.count >= 8, 1...3 ~= head[6], head[7] == 0 else {
      let version = head.dropFirst(6).prefix(2).map { String($0) }.joined(separator: ".")
      throw DecantError(
        .unsupportedFormat, "has .npy version \(version); only 1.0, 2.0 and 3.0 are supported",
        file: file.path,
        offset: 6)
    }
    let version = head[6]
    let prefix = version == 1 ? 10 : 12
    guard head.count >= prefix else { throw partialDownload(file, of: nil) }
    let length = head[8..<prefix].reversed().reduce(0) { $0 << 8 | Int($1) }
    // A character has at most four bytes.
    guard length <= NpyHeader.longest * (version == 3 ? 4 : 1) else {
      throw DecantError(
        .limitExceeded, "has a header of \(length) bytes, too long for an array", file: file.path,
        offset: 8)
    }
    guard length <= file.byteCount - prefix else { throw partialDownload(file, of: nil) }
    let bytes = try file.bytes(at: prefix, count: length)
    let text: [Unicode.Scalar]
    if version == 3 {
      guard let decoded = String(validating: bytes, as: UTF8.self) else {
        throw DecantError(.damaged, "has a header that is not UTF-8", file: file.path, offset: prefix)
      }
      text = Array(decoded.unicodeScalars)
    } else {
      text = bytes.map { Unicode.Scalar($0) }
    }
    guard text.count <= NpyHeader.longest else {
      throw DecantError(
        .limitExceeded, "has a header of \(text.count) characters, too long for an array",
        file: file.path, offset: 8)
    }
    dataOffset = prefix + length
    do throws(ParsingError) {
      (type, elements, isColumnMajor, shape) = try NpyHeader.parse(text, allowsLongIntegers: version < 3)
    } catch {
      throw DecantError(
        .damaged, "has a header that does not describe an array: \(error.reason)", file: file.path,
        offset: prefix + error.offset
      )
    }
  }

  /// Parses the three entries of the header.
  private static func parse(
    _ text: [Unicode.Scalar], allowsLongIntegers: Bool
  ) throws(ParsingError) -> (String, Elements, Bool, [Int]) {
    let literal = try PythonLiteral(parsing: text, .numpyHeader(allowsLongIntegers: allowsLongIntegers))
    func fail(_ reason: String) -> ParsingError { ParsingError(offset: 0, reason) }
    guard case .dictionary(let pairs) = literal else { throw fail("it is not a dictionary") }
    let keys = ["descr", "fortran_order", "shape"]
    guard pairs.map(\.key).sorted() == keys else {
      throw fail(
        "its keys are \(pairs.map { "'\($0.key.escapedForDisplay)'" }.joined(separator: ", ")), not 'descr', "
          + "'fortran_order' and 'shape'")
    }
    func value(_ key: String) -> PythonLiteral { pairs.first { $0.key == key }?.value ?? .none }
    guard case .bool(let isColumnMajor) = value("fortran_order") else {
      throw fail("its fortran_order is neither True nor False")
    }
    guard case .tuple(let sizes) = value("shape") else { throw fail("its shape is not a tuple of sizes") }
    var shape: [Int] = []
    for size in sizes {
      guard case .integer(let size) = size else { throw fail("its shape is not a tuple of sizes") }
      guard let size else { throw fail("its shape holds a size of more than 63 bits") }
      guard size >= 0 else { throw fail("its shape holds a negative size") }
      shape.append(size)
    }
    let descr = value("descr")
    guard let elements = elements(of: descr) else {
      throw fail(
        "its descr \(descr.spelling.prefix(60).description.escapedForDisplay) is not a type of NumPy")
    }
    var type = descr.spelling
    if case .text(let text) = descr { type = text }
    return (type.count > 60 ? type.prefix(57) + "…" : type, elements, isColumnMajor, shape)
  }

  /// Returns the elements that a `descr` describes: a type's name, a list of fields, or a type with a shape. Nil for
  /// anything else.
  private static func elements(of descr: PythonLiteral) -> Elements? {
    switch descr {
    case .text(let type): return elements(of: type)
    case .tuple(let parts):
      guard parts.count == 2, let inner = elements(of: parts[0]), let count = count(of: parts[1]) else {
        return nil
      }
      if case .objects = inner { return .objects }
      return .other(byteCount: inner.byteCount.flatMap { $0.checkedMultiplying(by: count) })
    case .list(let fields):
      var total: Int? = 0
      var holdsObjects = false
      var all: [RecordType.Field] = []
      var names: Set<ExactText> = []
      for field in fields {
        guard case .tuple(let parts) = field, 2...3 ~= parts.count, let inner = elements(of: parts[1]),
          let count = parts.count == 3 ? count(of: parts[2]) : 1
        else { return nil }
        // A title may precede the name; fields without a name are padding.
        guard case .text(let name) = parts[0].title?.name ?? parts[0],
          name.isEmpty || names.insert(ExactText(name)).inserted
        else { return nil }
        if case .objects = inner { holdsObjects = true }
        let size = inner.byteCount.flatMap { $0.checkedMultiplying(by: count) }
        if !name.isEmpty, let total, let size {
          all += Self.fields(name, parts[1], inner, parts.count == 3 ? parts[2] : nil, total, size)
        }
        total = size.flatMap { size in total?.checkedAdding(size) }
      }
      if holdsObjects { return .objects }
      guard let total, !all.isEmpty, let type = RecordType(byteCount: total, fields: all) else {
        return .other(byteCount: total)
      }
      return .records(type)
    default: return nil
    }
  }

  /// Returns the fields of a record's member: itself, or those of a record inside it.
  private static func fields(
    _ name: String, _ type: PythonLiteral, _ elements: Elements, _ shape: PythonLiteral?, _ offset: Int,
    _ byteCount: Int
  ) -> [RecordType.Field] {
    var (type, elements) = (type, elements)
    var sizes = shape.flatMap { Self.sizes($0) } ?? []
    // A type with a shape: ('<f4', (3, 4)).
    if case .tuple(let parts) = type, parts.count == 2, let inner = Self.elements(of: parts[0]),
      let own = Self.sizes(parts[1])
    {
      (type, elements, sizes) = (parts[0], inner, sizes + own)
    }
    if case .records(let record) = elements, sizes.isEmpty {
      return record.fields.map { $0.inside(name, at: offset) }
    }
    var numbers: (DType, Storage.ByteOrder)?
    if case .numbers(let dtype, let order) = elements { numbers = (dtype, order) }
    var text = type.spelling
    if case .text(let name) = type { text = name }
    let kind = text.first { !"<>|=".contains($0) }
    return [
      RecordType.Field(
        names: [name], type: text.count > 60 ? text.prefix(57) + "…" : text, numbers: numbers,
        isUnread: numbers == nil && !(kind.map { "SaUMm".contains($0) } ?? false), shape: sizes,
        offset: offset, byteCount: byteCount)
    ]
  }

  /// Returns the sizes of a shape; nil for an invalid one.
  private static func sizes(_ shape: PythonLiteral) -> [Int]? {
    switch shape {
    case .integer(let size): return size.flatMap { $0 >= 0 ? [$0] : nil }
    case .tuple(let sizes):
      let known = sizes.compactMap { if case .integer(let size?) = $0, size >= 0 { size } else { nil } }
      return known.count == sizes.count ? known : nil
    default: return nil
    }
  }

  /// Returns the number of elements of a field with this shape; nil for an invalid or too large shape.
  private static func count(of shape: PythonLiteral) -> Int? {
    switch shape {
    case .integer(let count): return count.flatMap { $0 >= 0 ? $0 : nil }
    case .tuple(let sizes):
      let known = sizes.compactMap { if case .integer(let size) = $0 { size } else { nil } }
      return known.count == sizes.count ? checkedProduct(known) : nil
    default: return nil
    }
  }

  /// Returns the elements that a type's name such as `<f4` describes; nil for an unknown name.
  private static func elements(of type: String) -> Elements? {
    var name = type[...]
    var order = Storage.ByteOrder.little
    if let mark = name.first, "<>|=".contains(mark) {
      if mark == ">" { order = .big }
      name = name.dropFirst()
    }
    if let dtype = NumpyTypes.dtype(String(name)) { return .numbers(dtype, order) }
    guard let kind = name.first else { return nil }
    let rest = name.dropFirst()
    switch kind {
    case "O": return rest.isEmpty || rest == "8" ? .objects : nil
    case "S", "a", "V", "U":
      guard rest.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let count = rest.isEmpty ? 0 : Int(rest) else {
        return nil
      }
      return .other(byteCount: count.checkedMultiplying(by: kind == "U" ? 4 : 1))
    case "M", "m":
      guard rest.first == "8" else { return nil }
      let unit = rest.dropFirst()
      guard !unit.isEmpty else { return .other(byteCount: 8) }
      guard unit.first == "[", unit.last == "]" else { return nil }
      let name = unit.dropFirst().dropLast().drop { ("0"..."9").contains($0) }
      return units.contains(String(name)) ? .other(byteCount: 8) : nil
    case "f" where rest == "16" || rest == "12": return .other(byteCount: Int(rest))
    case "c" where rest == "32" || rest == "24": return .other(byteCount: Int(rest))
    default: return nil
    }
  }

  /// The units of NumPy's dates and time spans.
  private static let units: Set = [
    "Y", "M", "W", "D", "h", "m", "s", "ms", "us", "μs", "ns", "ps", "fs", "as", "generic",
  ]
}

/// Returns the error for a file that is shorter than its header requires.
///
/// - Parameter expected: The number of bytes that the file should have; nil when unknown.
func partialDownload(_ file: ByteSource, of expected: Int?) -> DecantError {
  DecantError(
    .truncated,
    expected.map {
      "is cut short: it has \(Format.count(file.byteCount)) of the \(Format.count($0)) bytes that its header announces"
    }
      ?? "is cut short: it ends inside its header, after \(Format.count(file.byteCount, "byte"))",
    file: file.path,
    remedy: "The download or copy was interrupted. Download the file again, or resume the download.")
}
