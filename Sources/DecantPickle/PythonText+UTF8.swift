extension PythonText {
  /// Returns the first error in UTF-8 that may contain lone surrogates ("surrogatepass"); nil when there is
  /// none.
  ///
  /// The range and the reason are those of Python's UnicodeDecodeError. O(length).
  static func utf8Fault(_ bytes: [UInt8]) -> Fault? {
    var index = 0
    while index < bytes.count {
      let lead = bytes[index]
      if lead < 0x80 {
        index += 1
        continue
      }
      switch sequence(bytes, at: index) {
      case .complete(let length): index += length
      case .truncated:
        return Fault(range: index..<bytes.count, reason: "unexpected end of data")
      case .invalidStart:
        return Fault(range: index..<index + 1, reason: "invalid start byte")
      case .invalidContinuation(let length):
        if isSurrogate(bytes, at: index) {
          index += 3
        } else {
          return Fault(range: index..<index + length, reason: "invalid continuation byte")
        }
      }
    }
    return nil
  }

  private enum Sequence {
    case complete(Int)
    case truncated
    case invalidStart
    /// The number of valid bytes before the invalid continuation byte.
    case invalidContinuation(Int)
  }

  private static func sequence(_ bytes: [UInt8], at index: Int) -> Sequence {
    let lead = bytes[index]
    let length: Int
    // The second byte excludes overlong forms, surrogates and code points beyond U+10FFFF.
    var second: ClosedRange<UInt8> = 0x80...0xBF
    switch lead {
    case 0xC2...0xDF: length = 2
    case 0xE0: (length, second) = (3, 0xA0...0xBF)
    case 0xED: (length, second) = (3, 0x80...0x9F)
    case 0xE1...0xEF: length = 3
    case 0xF0: (length, second) = (4, 0x90...0xBF)
    case 0xF4: (length, second) = (4, 0x80...0x8F)
    case 0xF1...0xF3: length = 4
    default: return .invalidStart
    }
    for step in 1..<length {
      guard index + step < bytes.count else { return .truncated }
      let allowed = step == 1 ? second : 0x80...0xBF
      guard allowed.contains(bytes[index + step]) else { return .invalidContinuation(step) }
    }
    return .complete(length)
  }

  private static func isSurrogate(_ bytes: [UInt8], at index: Int) -> Bool {
    index + 2 < bytes.count && bytes[index] == 0xED && (0xA0...0xBF).contains(bytes[index + 1])
      && (0x80...0xBF).contains(bytes[index + 2])
  }
}
