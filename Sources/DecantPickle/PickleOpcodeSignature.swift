/// The form of the argument that follows an opcode in the stream, by `pickletools`' names.
enum PickleArgument {
  case uint1, uint2, uint4, uint8, int4
  /// A little-endian two's complement integer behind a length of one or four bytes.
  case long1, long4
  case float8
  /// Counted bytes; `string` ones are read as Latin-1.
  case string1, string4, bytes1, bytes4, bytes8, bytearray8
  /// Counted UTF-8.
  case unicodestring1, unicodestring4, unicodestring8
  /// Lines of text.
  case stringnl, stringnlNoEscape, stringnlNoEscapePair, unicodestringnl
  case decimalnlShort, decimalnlLong, floatnl
}

/// What `pickletools` knows of a value on the stack.
enum PickleStackKind: String {
  case mark, any, int, bool, float, bytes, bytearray, str, tuple, list, dict, set, frozenset, buffer
  case intOrBool = "int_or_bool"
  case bytesOrStr = "bytes_or_str"
  case noneValue = "None"
}

/// What an opcode takes off the stack, as `pickletools` declares it.
struct PickleStackUse {
  /// Whether the topmost MARK, and all above it, are taken.
  var takesMark = false
  /// How many values are taken besides (below the MARK, where there is one).
  var count = 0
}

extension PickleOpcode {
  /// The argument that follows in the stream, if one does.
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

  /// What is taken off the stack.
  var stackUse: PickleStackUse {
    switch self {
    case .stop, .pop, .dup, .binPersID, .tuple1, .memoize, .readonlyBuffer: .init(count: 1)
    case .reduce, .append, .build, .newObj, .tuple2, .stackGlobal: .init(count: 2)
    case .setItem, .tuple3, .newObjEx: .init(count: 3)
    case .popMark, .dict, .inst, .list, .obj, .tuple, .frozenSet: .init(takesMark: true)
    case .appends, .setItems, .addItems: .init(takesMark: true, count: 1)
    default: .init()
    }
  }

  /// What is put on the stack. GET and its kin put what the memo holds instead.
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
