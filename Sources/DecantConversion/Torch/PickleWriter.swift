internal import DecantBytes
/// A writer of protocol 2 pickles that uses only the opcodes that PyTorch's `weights_only` loader accepts.
///
/// Globals and the few texts that every tensor repeats are written once and then read from the memo. Source: CPython
/// `Lib/pickletools.py`, PyTorch `torch/_weights_only_unpickler.py`.
struct PickleWriter {
  /// The opcodes without an argument.
  enum Opcode: UInt8 {
    case mark = 0x28
    case emptyTuple = 0x29
    case stop = 0x2E
    case none = 0x4E
    case persistentID = 0x51
    case reduce = 0x52
    case emptyList = 0x5D
    case build = 0x62
    case appends = 0x65
    case tuple = 0x74
    case setItems = 0x75
    case emptyDictionary = 0x7D
    case tuple1 = 0x85
    case tuple2 = 0x86
    case tuple3 = 0x87
    case newTrue = 0x88
    case newFalse = 0x89
  }

  private(set) var bytes: [UInt8] = [0x80, 2]
  private var memoCount = 0
  private var globals: [String: Int] = [:]
  private var constants: [String: Int] = [:]

  /// The most bytes of an integer: the loader refuses LONG4.
  static let longestInteger = 255

  mutating func write(_ opcode: Opcode) { bytes.append(opcode.rawValue) }

  // MARK: Memo

  /// Stores the last written value in the memo and returns its memo index.
  mutating func remember() -> Int {
    defer { memoCount += 1 }
    writeMemo(memoCount, short: UInt8(ascii: "q"), long: UInt8(ascii: "r"))
    return memoCount
  }

  /// Writes the value at a memo index.
  mutating func recall(_ index: Int) {
    writeMemo(index, short: UInt8(ascii: "h"), long: UInt8(ascii: "j"))
  }

  /// Writes the opcode with a one-byte index where that is enough, otherwise the one with four bytes.
  private mutating func writeMemo(_ index: Int, short: UInt8, long: UInt8) {
    if index < 0x100 {
      bytes.append(short)
      bytes.append(UInt8(index))
    } else {
      bytes.append(long)
      bytes.appendLittleEndian(UInt32(truncatingIfNeeded: index))
    }
  }

  // MARK: Scalars

  mutating func global(_ module: String, _ name: String) {
    let whole = module + "\n" + name
    if let place = globals[whole] { return recall(place) }
    bytes.append(UInt8(ascii: "c"))
    bytes.append(contentsOf: whole.utf8)
    bytes.append(0x0A)
    globals[whole] = remember()
  }

  mutating func text(_ text: String) { self.text(utf8: text.utf8) }

  /// Writes a text as UTF-8, which may contain lone surrogates.
  mutating func text(utf8: some Collection<UInt8>) {
    bytes.append(UInt8(ascii: "X"))
    bytes.appendLittleEndian(UInt32(truncatingIfNeeded: utf8.count))
    bytes.append(contentsOf: utf8)
  }

  /// Writes a text that is used repeatedly: once in full, then from the memo.
  mutating func constant(_ text: String) {
    if let place = constants[text] { return recall(place) }
    self.text(text)
    constants[text] = remember()
  }

  mutating func integer(_ value: Int) {
    switch value {
    case 0...0xFF:
      bytes.append(UInt8(ascii: "K"))
      bytes.append(UInt8(value))
    case 0x100...0xFFFF:
      bytes.append(UInt8(ascii: "M"))
      bytes.appendLittleEndian(UInt16(value))
    case Int(Int32.min)...Int(Int32.max):
      bytes.append(UInt8(ascii: "J"))
      bytes.appendLittleEndian(Int32(value))
    default:
      var form: [UInt8] = []
      form.appendLittleEndian(Int64(value))
      // The shortest two's complement, as CPython writes it.
      while let last = form.last, form.count > 1,
        last == 0 && form[form.count - 2] < 0x80 || last == 0xFF && form[form.count - 2] >= 0x80
      {
        form.removeLast()
      }
      long(form)
    }
  }

  /// Writes an integer of at most ``longestInteger`` bytes in little-endian two's complement.
  mutating func long(_ form: [UInt8]) {
    bytes.append(0x8A)
    bytes.append(UInt8(truncatingIfNeeded: form.count))
    bytes.append(contentsOf: form)
  }

  mutating func float(_ value: Double) {
    bytes.append(UInt8(ascii: "G"))
    bytes.appendLittleEndian(value.bitPattern.byteSwapped)
  }

  mutating func boolean(_ value: Bool) { write(value ? .newTrue : .newFalse) }

  /// Writes `_codecs.encode(text, 'latin1')`, because protocol 2 has no bytes.
  mutating func byteString(_ content: [UInt8]) {
    global("_codecs", "encode")
    latin1(content)
    write(.tuple2)
    write(.reduce)
  }

  mutating func byteArray(_ content: [UInt8]) {
    global("__builtin__", "bytearray")
    byteString(content)
    write(.tuple1)
    write(.reduce)
  }

  private mutating func latin1(_ content: [UInt8]) {
    var utf8: [UInt8] = []
    utf8.reserveCapacity(content.count * 3 / 2)
    for byte in content {
      if byte < 0x80 {
        utf8.append(byte)
      } else {
        utf8.append(0xC0 | byte >> 6)
        utf8.append(0x80 | byte & 0x3F)
      }
    }
    text(utf8: utf8)
    constant("latin1")
  }

  // MARK: Containers

  /// Begins a tuple of `count` elements, which ``endTuple(count:)`` ends.
  mutating func beginTuple(count: Int) { if count > 3 { write(.mark) } }

  mutating func endTuple(count: Int) {
    switch count {
    case 0: write(.emptyTuple)
    case 1: write(.tuple1)
    case 2: write(.tuple2)
    case 3: write(.tuple3)
    default: write(.tuple)
    }
  }

  mutating func integers(_ values: [Int]) {
    beginTuple(count: values.count)
    for value in values { integer(value) }
    endTuple(count: values.count)
  }

  mutating func emptyOrderedDictionary() {
    global("collections", "OrderedDict")
    write(.emptyTuple)
    write(.reduce)
  }
}
