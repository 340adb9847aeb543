/// Writes pickles of protocol 2 with only the opcodes that PyTorch's `weights_only` loader accepts.
///
/// Source: CPython `Lib/pickletools.py`, PyTorch `torch/_weights_only_unpickler.py`.
struct PickleWriter {
  private(set) var bytes: [UInt8] = [0x80, 2]

  /// Ends the pickle.
  mutating func stop() { bytes.append(UInt8(ascii: ".")) }

  mutating func global(_ module: String, _ name: String) {
    bytes += [UInt8(ascii: "c")] + Array(module.utf8) + [0x0A] + Array(name.utf8) + [0x0A]
  }

  mutating func text(_ text: String) {
    let utf8 = Array(text.utf8)
    bytes.append(UInt8(ascii: "X"))
    append(UInt32(utf8.count))
    bytes += utf8
  }

  mutating func integer(_ value: Int) {
    switch value {
    case 0...0xFF: bytes += [UInt8(ascii: "K"), UInt8(value)]
    case 0x100...0xFFFF:
      bytes.append(UInt8(ascii: "M"))
      append(UInt16(value))
    case Int(Int32.min)...Int(Int32.max):
      bytes.append(UInt8(ascii: "J"))
      append(Int32(value))
    default:
      bytes += [0x8A, 8]
      append(Int64(value))
    }
  }

  mutating func boolean(_ value: Bool) { bytes.append(value ? 0x88 : 0x89) }

  /// A tuple of what `elements` writes.
  mutating func tuple(_ elements: (inout PickleWriter) -> Void) {
    mark()
    elements(&self)
    bytes.append(UInt8(ascii: "t"))
  }

  mutating func integers(_ values: [Int]) {
    tuple { writer in for value in values { writer.integer(value) } }
  }

  /// `callable(*arguments)` of the two values written last.
  mutating func reduce() { bytes.append(UInt8(ascii: "R")) }

  /// The persistent id of the value written last.
  mutating func persistentID() { bytes.append(UInt8(ascii: "Q")) }

  mutating func emptyDictionary() { bytes.append(UInt8(ascii: "}")) }

  mutating func emptyOrderedDictionary() {
    global("collections", "OrderedDict")
    bytes.append(UInt8(ascii: ")"))
    reduce()
  }

  /// Sets the keys and values that `pairs` writes in the mapping written last.
  mutating func setItems(_ pairs: (inout PickleWriter) -> Void) {
    mark()
    pairs(&self)
    bytes.append(UInt8(ascii: "u"))
  }

  private mutating func mark() { bytes.append(UInt8(ascii: "(")) }

  private mutating func append(_ value: some FixedWidthInteger) { bytes.appendLittleEndian(value) }
}

extension [UInt8] {
  /// Appends an integer, least significant byte first.
  mutating func appendLittleEndian<T: FixedWidthInteger>(_ value: T) {
    for shift in stride(from: 0, to: T.bitWidth, by: 8) { append(UInt8(truncatingIfNeeded: value >> shift)) }
  }
}
