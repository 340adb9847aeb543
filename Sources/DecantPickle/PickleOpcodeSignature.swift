/// The encoding of an opcode's argument, by its name in `pickletools`.
enum PickleArgument {
  case uint1, uint2, uint4, uint8, int4
  /// A little-endian two's complement integer after a length of one or four bytes.
  case long1, long4
  case float8
  /// Length-prefixed bytes. The `string` ones are read as Latin-1.
  case string1, string4, bytes1, bytes4, bytes8, bytearray8
  /// Length-prefixed UTF-8.
  case unicodestring1, unicodestring4, unicodestring8
  /// Lines of text.
  case stringnl, stringnlNoEscape, stringnlNoEscapePair, unicodestringnl
  case decimalnlShort, decimalnlLong, floatnl
}

/// The kind of a value on the stack, as `pickletools` models it.
enum PickleStackKind: String {
  case mark, any, int, bool, float, bytes, bytearray, str, tuple, list, dict, set, frozenset, buffer
  case intOrBool = "int_or_bool"
  case bytesOrStr = "bytes_or_str"
  case noneValue = "None"
}

/// The values that an opcode pops, as `pickletools` declares them.
struct PickleStackEffect {
  /// True when the opcode pops the topmost MARK and all values above it.
  var isMarkPopped = false
  /// The number of other values popped, below the MARK if there is one.
  var count = 0
}

extension PickleOpcode {
  /// The encoding of the argument; nil for opcodes without one.
  var argument: PickleArgument? {
    switch self {
    case .binInt1, .binGet, .binPut, .proto, .ext1: .uint1
    case .binInt2, .ext2: .uint2
    case .binInt, .ext4: .int4
    case .longBinGet, .longBinPut: .uint4
    case .frame: .uint8
    case .long1: .long1
    case .long4: .long4
    case .binFloat: .float8
    case .shortBinString: .string1
    case .binString: .string4
    case .shortBinBytes: .bytes1
    case .binBytes: .bytes4
    case .binBytes8: .bytes8
    case .byteArray8: .bytearray8
    case .shortBinUnicode: .unicodestring1
    case .binUnicode: .unicodestring4
    case .binUnicode8: .unicodestring8
    case .string: .stringnl
    case .persID: .stringnlNoEscape
    case .global, .inst: .stringnlNoEscapePair
    case .unicode: .unicodestringnl
    case .int, .get, .put: .decimalnlShort
    case .long: .decimalnlLong
    case .float: .floatnl
    default: nil
    }
  }

  /// The values that the opcode pops.
  var stackUse: PickleStackEffect {
    switch self {
    case .stop, .pop, .dup, .binPersID, .tuple1, .memoize, .readonlyBuffer: .init(count: 1)
    case .reduce, .append, .build, .newObj, .tuple2, .stackGlobal: .init(count: 2)
    case .setItem, .tuple3, .newObjEx: .init(count: 3)
    case .popMark, .dict, .inst, .list, .obj, .tuple, .frozenSet: .init(isMarkPopped: true)
    case .appends, .setItems, .addItems: .init(isMarkPopped: true, count: 1)
    default: .init()
    }
  }

  /// The kind of the pushed value; nil when nothing is pushed. GET, BINGET and LONG_BINGET push the memo's
  /// value instead.
  var stackResult: PickleStackKind? {
    switch self {
    case .stop, .pop, .popMark, .put, .binPut, .longBinPut, .proto, .frame: nil
    case .mark: .mark
    case .noneValue: .noneValue
    case .int: .intOrBool
    case .binInt, .binInt1, .binInt2, .long, .long1, .long4: .int
    case .newTrue, .newFalse: .bool
    case .float, .binFloat: .float
    case .string, .binString, .shortBinString: .bytesOrStr
    case .unicode, .binUnicode, .shortBinUnicode, .binUnicode8: .str
    case .binBytes, .shortBinBytes, .binBytes8: .bytes
    case .byteArray8: .bytearray
    case .nextBuffer, .readonlyBuffer: .buffer
    case .emptyTuple, .tuple, .tuple1, .tuple2, .tuple3: .tuple
    case .emptyList, .list, .append, .appends: .list
    case .emptyDict, .dict, .setItem, .setItems: .dict
    case .emptySet, .addItems: .set
    case .frozenSet: .frozenset
    case .dup, .persID, .binPersID, .reduce, .build, .global, .get, .binGet, .longBinGet, .inst, .obj,
      .newObj, .newObjEx, .stackGlobal, .memoize, .ext1, .ext2, .ext4:
      .any
    }
  }
}
