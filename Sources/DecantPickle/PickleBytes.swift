/// Bytes, as every protocol spells them.
extension PickleGraph {
  /// The bytes of a value that is `bytes`, `bytearray` or a `str` of Python 2, also as older protocols spell them.
  /// O(length).
  package func bytes(_ value: PickleValue) -> [UInt8]? {
    switch node(value) {
    case .bytes(let bytes), .byteArray(let bytes), .byteString(let bytes): bytes
    case .object(let object): bytes(of: object) ?? bytes(ofCall: object)?.content
    default: nil
    }
  }

  /// The class and content of `bytearray(b'…')`, `bytes()`, and Python 2's `bytearray(u'…', 'latin-1')`. O(length).
  package func bytes(ofCall object: PickleObject) -> (type: String, content: [UInt8])? {
    guard let callable = global(object.callable), ["builtins", "__builtin__"].contains(callable.module),
      ["bytearray", "bytes"].contains(callable.name), let arguments = tuple(object.arguments)
    else { return nil }
    // bytearray.__new__ leaves its arguments to __init__, which NEWOBJ does not call.
    if callable.name == "bytearray" {
      guard object.construction == .reduce || object.construction == .instance else { return nil }
    }
    let content: [UInt8]?
    switch arguments.count {
    case 0: content = []
    case 1:
      content =
        switch node(arguments[0]) {
        case .bytes(let bytes), .byteString(let bytes): bytes
        case .object(let inner): bytes(of: inner)
        default: nil
        }
    case 2: content = encoded(arguments)
    default: content = nil
    }
    return content.map { (callable.name, $0) }
  }

  /// The `bytes` that protocols before 3 write as `_codecs.encode(text, 'latin1')`. O(length).
  package func bytes(of object: PickleObject) -> [UInt8]? {
    guard object.construction == .reduce, global(object.callable)?.qualifiedName == "_codecs.encode",
      let arguments = tuple(object.arguments), arguments.count == 2
    else { return nil }
    return encoded(arguments)
  }

  /// A text and Latin-1 by one of its names: the bytes.
  private func encoded(_ arguments: [PickleValue]) -> [UInt8]? {
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
