/// The bytes of values in every encoding that pickle protocols use.
extension PickleGraph {
  /// Returns the bytes of a `bytes`, a `bytearray` or a Python 2 `str`, including the calls that older
  /// protocols use for them. O(length).
  package func bytes(_ value: PickleValue) -> [UInt8]? {
    switch node(value) {
    case .bytes(let bytes), .byteArray(let bytes), .byteString(let bytes): bytes
    case .object(let object): bytes(of: object) ?? bytes(ofCall: object)?.content
    default: nil
    }
  }

  /// Returns the class and the bytes of `bytearray(b'…')`, `bytes()` and Python 2's `bytearray(u'…',
  /// 'latin-1')`. O(length).
  package func bytes(ofCall object: PickleObject) -> (type: String, content: [UInt8])? {
    guard let callable = global(object.callable), ["builtins", "__builtin__"].contains(callable.module),
      ["bytearray", "bytes"].contains(callable.name), let arguments = tuple(object.arguments)
    else { return nil }
    // NEWOBJ only calls bytearray.__new__, which ignores its arguments; __init__ would use them.
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

  /// Returns the `bytes` that protocols before 3 write as `_codecs.encode(text, 'latin1')`. O(length).
  package func bytes(of object: PickleObject) -> [UInt8]? {
    guard object.construction == .reduce, global(object.callable)?.qualifiedName == "_codecs.encode",
      let arguments = tuple(object.arguments), arguments.count == 2
    else { return nil }
    return encoded(arguments)
  }

  /// Returns the bytes of a `(text, 'latin1')` argument pair. The codec may be `latin1` or `latin-1`.
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
  /// The text in ISO 8859-1; nil when a character is outside that set. O(length).
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
