internal import DecantBytes

/// Reads opcodes and their arguments as `pickletools.genops` does.
///
/// It differs from the machine as `pickletools` differs from `pickle`. It is stricter in some cases (names
/// must be ASCII, INT is decimal) and laxer in others. Errors have the texts of CPython's exceptions.
struct PickleArgumentReader: ~Escapable {
  /// The memo key of PUT and GET. Python's integers are unbounded, so a key may exceed 64 bits.
  enum MemoKey: Hashable {
    case index(Int64)
    case long([UInt8])
  }

  /// An argument in Python's `repr` form.
  struct Argument {
    var text: String
    /// The memo key, for opcodes that have one.
    var memoKey: MemoKey?
  }

  private let bytes: RawSpan
  private(set) var offset = 0
  private var start = 0
  private var opcode: PickleOpcode?

  @_lifetime(copy bytes)
  init(_ bytes: RawSpan) { self.bytes = bytes }

  /// Reads one opcode and its argument.
  @_lifetime(self: copy self)
  mutating func next() throws(PickleError) -> (PickleOpcode, Argument?) {
    start = offset
    opcode = nil
    guard let byte = read(1).first else {
      throw failure("pickle exhausted before seeing STOP", cause: .truncated)
    }
    guard let next = PickleOpcode(rawValue: byte) else {
      throw failure("at position \(start), opcode \(PythonRepr.bytes([byte])) unknown")
    }
    opcode = next
    guard let form = next.argument else { return (next, nil) }
    return (next, try argument(form))
  }

  @_lifetime(self: copy self)
  private mutating func argument(_ form: PickleArgument) throws(PickleError) -> Argument {
    switch form {
    case .uint1: index(Int64(try number(UInt8.self, form)))
    case .uint2: index(Int64(try number(UInt16.self, form)))
    case .uint4: index(Int64(try number(UInt32.self, form)))
    case .int4: index(Int64(try number(Int32.self, form)))
    case .uint8: Argument(text: String(try number(UInt64.self, form)))
    case .float8:
      Argument(text: PythonRepr.float(Double(bitPattern: try number(UInt64.self, form).byteSwapped)))
    case .long1: Argument(text: try long(Int64(try number(UInt8.self, .uint1)), "long1"))
    case .long4: Argument(text: try long(Int64(try number(Int32.self, .int4)), "long4"))
    case .string1: Argument(text: latin1(try counted(UInt64(try number(UInt8.self, .uint1)), "string1")))
    case .string4: Argument(text: latin1(try counted(signed: try number(Int32.self, .int4), "string4")))
    case .bytes1:
      Argument(text: PythonRepr.bytes(try counted(UInt64(try number(UInt8.self, .uint1)), "bytes1")))
    case .bytes4:
      Argument(text: PythonRepr.bytes(try counted(UInt64(try number(UInt32.self, .uint4)), "bytes4")))
    case .bytes8: Argument(text: PythonRepr.bytes(try counted(try number(UInt64.self, .uint8), "bytes8")))
    case .bytearray8:
      Argument(text: PythonRepr.bytearray(try counted(try number(UInt64.self, .uint8), "bytearray8")))
    case .unicodestring1:
      Argument(text: try unicode(try counted(UInt64(try number(UInt8.self, .uint1)), "unicodestring1")))
    case .unicodestring4:
      Argument(text: try unicode(try counted(UInt64(try number(UInt32.self, .uint4)), "unicodestring4")))
    case .unicodestring8:
      Argument(text: try unicode(try counted(try number(UInt64.self, .uint8), "unicodestring8")))
    case .stringnl: Argument(text: PythonRepr.string(utf8: try quotedLine()))
    case .stringnlNoEscape: Argument(text: PythonRepr.string(utf8: try asciiLine(try line("stringnl"))))
    case .stringnlNoEscapePair:
      Argument(
        text: PythonRepr.string(
          utf8: try asciiLine(try line("stringnl")) + [0x20] + (try asciiLine(try line("stringnl")))))
    case .unicodestringnl: Argument(text: try rawUnicodeLine())
    case .decimalnlShort: try shortDecimalLine()
    case .decimalnlLong: try longDecimalLine()
    case .floatnl: Argument(text: try floatLine())
    }
  }

  // MARK: - Bytes

  private func failure(_ reason: String, cause: PickleError.Cause = .invalid) -> PickleError {
    PickleError(offset: start, opcode: opcode, cause: cause, reason)
  }

  /// Reads up to `count` bytes; fewer at the end of the stream.
  @_lifetime(self: copy self)
  private mutating func read(_ count: Int) -> [UInt8] {
    let end = offset + min(max(count, 0), bytes.byteCount - offset)
    defer { offset = end }
    return bytes.copy(offset..<end)
  }

  @_lifetime(self: copy self)
  private mutating func number<T: FixedWidthInteger & BitwiseCopyable>(
    _ type: T.Type, _ form: PickleArgument
  ) throws(PickleError) -> T {
    guard bytes.byteCount - offset >= MemoryLayout<T>.size else {
      throw failure("not enough data in stream to read \(form)", cause: .truncated)
    }
    defer { offset += MemoryLayout<T>.size }
    return T(littleEndian: unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: T.self))
  }

  @_lifetime(self: copy self)
  private mutating func counted(_ count: UInt64, _ form: String) throws(PickleError) -> [UInt8] {
    guard let count = Int(exactly: count) else {
      throw failure("\(form) byte count > sys.maxsize: \(count)")
    }
    let left = bytes.byteCount - offset
    guard count <= left else {
      throw failure("expected \(count) bytes in a \(form), but only \(left) remain", cause: .truncated)
    }
    return read(count)
  }

  @_lifetime(self: copy self)
  private mutating func counted(signed count: Int32, _ form: String) throws(PickleError) -> [UInt8] {
    guard let count = UInt64(exactly: count) else { throw failure("\(form) byte count < 0: \(count)") }
    return try counted(count, form)
  }

  @_lifetime(self: copy self)
  private mutating func line(_ form: String) throws(PickleError) -> [UInt8] {
    var end = offset
    while end < bytes.byteCount {
      if unsafe bytes.unsafeLoad(fromUncheckedByteOffset: end, as: UInt8.self) == 0x0A {
        let line = read(end - offset)
        offset = end + 1
        return line
      }
      end += 1
    }
    throw failure("no newline found when trying to read \(form)", cause: .truncated)
  }

  // MARK: - Numbers

  private func index(_ value: Int64) -> Argument {
    Argument(text: String(value), memoKey: .index(value))
  }

  @_lifetime(self: copy self)
  private mutating func long(_ count: Int64, _ form: String) throws(PickleError) -> String {
    guard count >= 0 else { throw failure("\(form) byte count < 0: \(count)") }
    let digits = read(Int(count))
    guard digits.count == count else {
      throw failure("not enough data in stream to read \(form)", cause: .truncated)
    }
    return try decimal(PythonInteger.shortest(digits))
  }

  private func decimal(_ bytes: ArraySlice<UInt8>) throws(PickleError) -> String {
    if let small = PythonInteger.small(bytes) { return String(small) }
    guard let text = PythonInteger.decimal(bytes) else {
      throw failure(
        "Exceeds the limit (\(PythonInteger.maximumDigits) digits) for integer string conversion; "
          + "use sys.set_int_max_str_digits() to increase the limit")
    }
    return text
  }

  @_lifetime(self: copy self)
  private mutating func shortDecimalLine() throws(PickleError) -> Argument {
    let text = try line("stringnl")
    var argument = try integer(text[...])
    if text == Array("00".utf8) { argument.text = "False" }
    if text == Array("01".utf8) { argument.text = "True" }
    return argument
  }

  @_lifetime(self: copy self)
  private mutating func longDecimalLine() throws(PickleError) -> Argument {
    var text = try line("stringnl")[...]
    if text.last == UInt8(ascii: "L") { text.removeLast() }
    return try integer(text)
  }

  private func integer(_ text: ArraySlice<UInt8>) throws(PickleError) -> Argument {
    switch PythonInteger.parse(text, .decimal) {
    case .small(let value): return index(value)
    case .large(let value): return Argument(text: try decimal(value[...]), memoKey: .long(value))
    case .invalid:
      let literal = PythonRepr.bytes(text.prefix(200)).unicodeScalars.prefix(200)
      throw failure("invalid literal for int() with base 10: \(String(String.UnicodeScalarView(literal)))")
    case .tooManyDigits(let count):
      throw failure(
        "Exceeds the limit (\(PythonInteger.maximumDigits) digits) for integer string conversion: value has "
          + "\(count) digits; use sys.set_int_max_str_digits() to increase the limit")
    }
  }

  @_lifetime(self: copy self)
  private mutating func floatLine() throws(PickleError) -> String {
    let text = try line("stringnl")
    guard let value = PythonText.float(text) else {
      throw failure("could not convert string to float: \(PythonRepr.bytes(text))")
    }
    return PythonRepr.float(value)
  }

  // MARK: - Strings

  private func latin1(_ bytes: [UInt8]) -> String {
    var utf8: [UInt8] = []
    utf8.reserveCapacity(bytes.count)
    for byte in bytes { PythonText.appendUTF8(UInt32(byte), to: &utf8) }
    return PythonRepr.string(utf8: utf8)
  }

  private func unicode(_ utf8: [UInt8]) throws(PickleError) -> String {
    if let fault = PythonText.utf8Fault(utf8) { throw decodingFailure("utf-8", utf8[...], fault) }
    return PythonRepr.string(utf8: utf8)
  }

  @_lifetime(self: copy self)
  private mutating func rawUnicodeLine() throws(PickleError) -> String {
    let text = try line("unicodestringnl")
    do throws(PythonText.Fault) {
      return PythonRepr.string(utf8: try PythonText.rawUnicodeEscape(text[...]))
    } catch {
      throw decodingFailure("rawunicodeescape", text[...], error)
    }
  }

  @_lifetime(self: copy self)
  private mutating func quotedLine() throws(PickleError) -> [UInt8] {
    let text = try line("stringnl")
    guard let quote = text.first, quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else {
      throw failure("no string quotes around \(PythonRepr.bytes(text))")
    }
    guard text.last == quote else {
      throw failure(
        "strinq quote \(PythonRepr.bytes([quote])) not found at both ends of \(PythonRepr.bytes(text))")
    }
    return try asciiLine(text.count == 1 ? [] : Array(text[1..<(text.count - 1)]))
  }

  /// Resolves escapes. The result must be ASCII.
  private func asciiLine(_ text: [UInt8]) throws(PickleError) -> [UInt8] {
    let plain: [UInt8]
    do throws(PythonText.Fault) {
      plain = try PythonText.unescaped(text[...])
    } catch {
      throw failure(error.reason)
    }
    if let place = plain.firstIndex(where: { $0 >= 0x80 }) {
      throw decodingFailure(
        "ascii", plain[...], .init(range: place..<place + 1, reason: "ordinal not in range(128)"))
    }
    return plain
  }

  private func decodingFailure(
    _ codec: String, _ bytes: ArraySlice<UInt8>, _ fault: PythonText.Fault
  ) -> PickleError {
    let first = fault.range.lowerBound
    if fault.range.count == 1, let byte = bytes.dropFirst(first).first {
      let hex = (byte < 0x10 ? "0" : "") + String(byte, radix: 16)
      return failure("'\(codec)' codec can't decode byte 0x\(hex) in position \(first): \(fault.reason)")
    }
    let last = fault.range.upperBound - 1
    return failure("'\(codec)' codec can't decode bytes in position \(first)-\(last): \(fault.reason)")
  }
}
