/// Bytes, as every protocol spells them.
extension PickleGraph {
  /// The bytes of a value that is `bytes`, `bytearray` or a `str` of Python 2, also as older protocols spell them.
  /// O(length).
  package func bytes(_ value: PickleValue) -> [UInt8]? {
    switch node(value) {
    case .bytes(let bytes), .byteArray(let bytes), .byteString(let bytes): return bytes
    case .object(let object):
      if let bytes = bytes(of: object) { return bytes }
      // bytearray(b'…'), bytes().
      switch global(object.callable)?.qualifiedName {
      case "builtins.bytearray", "__builtin__.bytearray", "builtins.bytes", "__builtin__.bytes":
        guard let arguments = tuple(object.arguments), arguments.count <= 1 else { return nil }
        guard let argument = arguments.first else { return [] }
        switch node(argument) {
        case .bytes(let bytes), .byteString(let bytes): return bytes
        case .object(let inner): return bytes(of: inner)
        default: return nil
        }
      default: return nil
      }
    default: return nil
    }
  }

  /// The `bytes` that protocols before 3 write as `_codecs.encode(text, 'latin1')`. O(length).
  package func bytes(of object: PickleObject) -> [UInt8]? {
    guard object.construction == .reduce, global(object.callable)?.qualifiedName == "_codecs.encode",
      let arguments = tuple(object.arguments), arguments.count == 2
    else { return nil }
    let codec = text(arguments[1])
    guard codec == "latin1" || codec == "latin-1" else { return nil }
    switch node(arguments[0]) {
    case .text(let text): return text.latin1
    case .byteString(let bytes): return bytes
    default: return nil
    }
  }
}

extension PickleText {
  /// The text in ISO 8859-1; nil when it has other characters. O(length).
  fileprivate var latin1: [UInt8]? {
    var result: [UInt8] = []
    result.reserveCapacity(utf8.count)
    var index = 0
    while index < utf8.count {
      let byte = utf8[index]
      if byte < 0x80 {
        result.append(byte)
        index += 1
      } else if byte == 0xC2 || byte == 0xC3, index + 1 < utf8.count {
        result.append(byte << 6 | utf8[index + 1] & 0x3F)
        index += 2
      } else {
        return nil
      }
    }
    return result
  }
}
