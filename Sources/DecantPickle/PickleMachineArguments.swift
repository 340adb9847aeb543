import DecantBytes

/// Reading of opcode arguments, and opcodes that only push their argument.
extension PickleMachine {
  /// Reads a little-endian integer.
  @inline(__always)
  @_lifetime(self: copy self)
  mutating func read<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type) throws(PickleError) -> T {
    let size = MemoryLayout<T>.size
    guard bytes.byteCount - offset >= size else { throw truncated(size) }
    let value = T(littleEndian: unsafe bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: T.self))
    offset += size
    return value
  }

  @inline(never)
  private func truncated(_ count: some BinaryInteger) -> PickleError {
    failure("its argument takes \(count) bytes and \(bytes.byteCount - offset) are left", cause: .truncated)
  }

  /// Reads an eight-byte length.
  @_lifetime(self: copy self)
  mutating func readLength() throws(PickleError) -> Int {
    let length = try read(UInt64.self)
    guard let length = Int(exactly: length) else { throw truncated(length) }
    return length
  }

  /// Reads a four-byte length and refuses negative ones.
  @_lifetime(self: copy self)
  mutating func readSignedLength() throws(PickleError) -> Int {
    let length = Int(try read(Int32.self))
    guard length >= 0 else { throw failure("its length, \(length), is negative") }
    return length
  }

  /// Copies bytes after checking that they exist.
  @inline(__always)
  @_lifetime(self: copy self)
  mutating func readBytes(_ count: Int) throws(PickleError) -> [UInt8] {
    guard count <= bytes.byteCount - offset else { throw truncated(count) }
    let end = offset + count
    defer { offset = end }
    return bytes.copy(offset..<end)
  }

  /// Moves past a line and returns its byte range, without the newline.
  @_lifetime(self: copy self)
  mutating func readLineRange() throws(PickleError) -> Range<Int> {
    var end = offset
    let count = bytes.byteCount
    while end < count {
      if unsafe bytes.unsafeLoad(fromUncheckedByteOffset: end, as: UInt8.self) == 0x0A {
        defer { offset = end + 1 }
        return offset..<end
      }
      end += 1
    }
    throw failure("no newline ends its argument", cause: .truncated)
  }

  @_lifetime(self: copy self)
  mutating func readLine() throws(PickleError) -> [UInt8] {
    let range = try readLineRange()
    return bytes.copy(range)
  }

  /// Reads the line of a number. C's number parsers stop at the first NUL and ignore the rest, so the number
  /// does too.
  @_lifetime(self: copy self)
  private mutating func readNumberLine() throws(PickleError) -> (number: ArraySlice<UInt8>, line: [UInt8]) {
    let line = try readLine()
    return (line.prefix { $0 != 0 }, line)
  }

  /// Reads the memo index of GET and PUT.
  @_lifetime(self: copy self)
  mutating func readIndexLine() throws(PickleError) -> Int {
    let (number, line) = try readNumberLine()
    switch PythonInteger.parse(number, .decimal) {
    case .small(let index):
      guard index >= 0 else { throw failure("the memo index, \(index), is negative") }
      return Int(index)
    case .large, .tooManyDigits: throw failure("the memo index does not fit 64 bits")
    case .invalid: throw failure("\(PythonRepr.bytes(line.prefix(40))) is no decimal number")
    }
  }

  // MARK: - Numbers

  @_lifetime(self: copy self)
  mutating func pushIntegerLine() throws(PickleError) {
    let (number, line) = try readNumberLine()
    // strtol reads an empty number as 0.
    let value =
      number.isEmpty && !line.isEmpty ? .int(0) : try integer(number, .prefixed(legacyOctal: true))
    // "00" and "01" are False and True. _pickle.c accepts any two characters whose value is 0 or 1.
    if line.count == 2, let digit = line.last,
      digit == UInt8(ascii: "0") || digit == UInt8(ascii: "1") || digit == 0,
      value == .int(0) || value == .int(1)
    {
      try push(.bool(value == .int(1)))
    } else {
      try push(value)
    }
  }

  @_lifetime(self: copy self)
  mutating func pushLongLine() throws(PickleError) {
    var (number, line) = try readNumberLine()
    if number.count == line.count, number.last == UInt8(ascii: "L") { number.removeLast() }
    try push(try integer(number, .prefixed(legacyOctal: false)))
  }

  @_lifetime(self: copy self)
  private mutating func integer(
    _ text: ArraySlice<UInt8>, _ notation: PythonInteger.Notation
  ) throws(PickleError) -> PickleValue {
    try checkLong(text.count)
    switch PythonInteger.parse(text, notation) {
    case .small(let value): return .int(value)
    case .large(let value): return try make(.longInteger(value))
    case .invalid: throw failure("\(PythonRepr.bytes(text.prefix(40))) is no integer")
    case .tooManyDigits(let count):
      throw failure("an integer of \(count) decimal digits is refused, as CPython does beyond 4300")
    }
  }

  private func checkLong(_ count: Int) throws(PickleError) {
    guard count <= limits.longBytes else {
      throw failure("the integer has \(count) bytes", exceeding: \.longBytes, need: count)
    }
  }

  @_lifetime(self: copy self)
  mutating func pushLong(byteCount: Int) throws(PickleError) {
    try checkLong(byteCount)
    let digits = try readBytes(byteCount)
    let form = PythonInteger.shortest(digits)
    if let small = PythonInteger.small(form) {
      try push(.int(small))
    } else {
      try push(node: .longInteger(form.count == digits.count ? digits : Array(form)))
    }
  }

  @_lifetime(self: copy self)
  mutating func pushFloatLine() throws(PickleError) {
    let (number, line) = try readNumberLine()
    guard let value = PythonText.float(number) else {
      throw failure("\(PythonRepr.bytes(line.prefix(40))) is no number")
    }
    try push(.float(value))
  }

  // MARK: - Strings

  @_lifetime(self: copy self)
  mutating func pushText(byteCount: Int) throws(PickleError) {
    let utf8 = try readBytes(byteCount)
    if let fault = PythonText.utf8Fault(utf8) {
      throw failure("its text is no UTF-8 from byte \(fault.range.lowerBound) of it (\(fault.reason))")
    }
    try push(node: .text(PickleText(utf8: utf8)))
  }

  @_lifetime(self: copy self)
  mutating func pushTextLine() throws(PickleError) {
    let line = try readLine()
    let utf8: [UInt8]
    do throws(PythonText.Fault) {
      utf8 = try PythonText.rawUnicodeEscape(line[...])
    } catch {
      throw failure("its text is wrong at byte \(error.range.lowerBound) of it (\(error.reason))")
    }
    try push(node: .text(PickleText(utf8: utf8)))
  }

  @_lifetime(self: copy self)
  mutating func pushStringLine() throws(PickleError) {
    let line = try readLine()
    guard line.count >= 2, let quote = line.first, quote == line.last,
      quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"")
    else { throw failure("\(PythonRepr.bytes(line.prefix(40))) is not quoted") }
    let string: [UInt8]
    do throws(PythonText.Fault) {
      string = try PythonText.unescaped(line.dropFirst().dropLast())
    } catch {
      throw failure("its text is wrong at byte \(error.range.lowerBound) of it (\(error.reason))")
    }
    try push(node: .byteString(string))
  }

  // MARK: - Buffers

  @_lifetime(self: copy self)
  mutating func pushNextBuffer() throws(PickleError) {
    try push(node: .outOfBandBuffer(index: buffers, isReadOnly: false))
    buffers += 1
  }

  /// READONLY_BUFFER: replaces the buffer on top of the stack with a read-only view. The memo keeps the
  /// writable one.
  @_lifetime(self: copy self)
  mutating func makeTopReadOnly() throws(PickleError) {
    let value = try top()
    switch graph.node(value) {
    case .outOfBandBuffer(let index, isReadOnly: false):
      _ = try pop()
      try push(node: .outOfBandBuffer(index: index, isReadOnly: true))
    case .outOfBandBuffer, .bytes, .byteArray, .object, .persistentID, .extensionCode, .global: break
    default: throw failure("\(kind(of: value)) is no buffer")
    }
  }
}
