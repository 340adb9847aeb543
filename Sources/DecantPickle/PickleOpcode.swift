/// The 68 opcodes of pickle protocols 0 to 5; raw values are their bytes.
///
/// Names and protocols are those of CPython 3.11's `pickletools`.
package enum PickleOpcode: UInt8, CaseIterable, Sendable {
  case mark = 0x28
  case emptyTuple = 0x29
  case stop = 0x2E
  case pop = 0x30
  case popMark = 0x31
  case dup = 0x32
  case binBytes = 0x42
  case shortBinBytes = 0x43
  case float = 0x46
  case binFloat = 0x47
  case int = 0x49
  case binInt = 0x4A
  case binInt1 = 0x4B
  case long = 0x4C
  case binInt2 = 0x4D
  case noneValue = 0x4E
  case persID = 0x50
  case binPersID = 0x51
  case reduce = 0x52
  case string = 0x53
  case binString = 0x54
  case shortBinString = 0x55
  case unicode = 0x56
  case binUnicode = 0x58
  case emptyList = 0x5D
  case append = 0x61
  case build = 0x62
  case global = 0x63
  case dict = 0x64
  case appends = 0x65
  case get = 0x67
  case binGet = 0x68
  case inst = 0x69
  case longBinGet = 0x6A
  case list = 0x6C
  case obj = 0x6F
  case put = 0x70
  case binPut = 0x71
  case longBinPut = 0x72
  case setItem = 0x73
  case tuple = 0x74
  case setItems = 0x75
  case emptyDict = 0x7D
  case proto = 0x80
  case newObj = 0x81
  case ext1 = 0x82
  case ext2 = 0x83
  case ext4 = 0x84
  case tuple1 = 0x85
  case tuple2 = 0x86
  case tuple3 = 0x87
  case newTrue = 0x88
  case newFalse = 0x89
  case long1 = 0x8A
  case long4 = 0x8B
  case shortBinUnicode = 0x8C
  case binUnicode8 = 0x8D
  case binBytes8 = 0x8E
  case emptySet = 0x8F
  case addItems = 0x90
  case frozenSet = 0x91
  case newObjEx = 0x92
  case stackGlobal = 0x93
  case memoize = 0x94
  case frame = 0x95
  case byteArray8 = 0x96
  case nextBuffer = 0x97
  case readonlyBuffer = 0x98

  /// The name in `pickletools`, such as `SHORT_BINUNICODE`.
  package var name: String {
    switch self {
    case .mark: "MARK"
    case .emptyTuple: "EMPTY_TUPLE"
    case .stop: "STOP"
    case .pop: "POP"
    case .popMark: "POP_MARK"
    case .dup: "DUP"
    case .binBytes: "BINBYTES"
    case .shortBinBytes: "SHORT_BINBYTES"
    case .float: "FLOAT"
    case .binFloat: "BINFLOAT"
    case .int: "INT"
    case .binInt: "BININT"
    case .binInt1: "BININT1"
    case .long: "LONG"
    case .binInt2: "BININT2"
    case .noneValue: "NONE"
    case .persID: "PERSID"
    case .binPersID: "BINPERSID"
    case .reduce: "REDUCE"
    case .string: "STRING"
    case .binString: "BINSTRING"
    case .shortBinString: "SHORT_BINSTRING"
    case .unicode: "UNICODE"
    case .binUnicode: "BINUNICODE"
    case .emptyList: "EMPTY_LIST"
    case .append: "APPEND"
    case .build: "BUILD"
    case .global: "GLOBAL"
    case .dict: "DICT"
    case .appends: "APPENDS"
    case .get: "GET"
    case .binGet: "BINGET"
    case .inst: "INST"
    case .longBinGet: "LONG_BINGET"
    case .list: "LIST"
    case .obj: "OBJ"
    case .put: "PUT"
    case .binPut: "BINPUT"
    case .longBinPut: "LONG_BINPUT"
    case .setItem: "SETITEM"
    case .tuple: "TUPLE"
    case .setItems: "SETITEMS"
    case .emptyDict: "EMPTY_DICT"
    case .proto: "PROTO"
    case .newObj: "NEWOBJ"
    case .ext1: "EXT1"
    case .ext2: "EXT2"
    case .ext4: "EXT4"
    case .tuple1: "TUPLE1"
    case .tuple2: "TUPLE2"
    case .tuple3: "TUPLE3"
    case .newTrue: "NEWTRUE"
    case .newFalse: "NEWFALSE"
    case .long1: "LONG1"
    case .long4: "LONG4"
    case .shortBinUnicode: "SHORT_BINUNICODE"
    case .binUnicode8: "BINUNICODE8"
    case .binBytes8: "BINBYTES8"
    case .emptySet: "EMPTY_SET"
    case .addItems: "ADDITEMS"
    case .frozenSet: "FROZENSET"
    case .newObjEx: "NEWOBJ_EX"
    case .stackGlobal: "STACK_GLOBAL"
    case .memoize: "MEMOIZE"
    case .frame: "FRAME"
    case .byteArray8: "BYTEARRAY8"
    case .nextBuffer: "NEXT_BUFFER"
    case .readonlyBuffer: "READONLY_BUFFER"
    }
  }

  /// The protocol that introduced the opcode, 0 to 5.
  package var protocolVersion: Int {
    switch self {
    case .mark, .stop, .pop, .dup, .float, .int, .long, .noneValue, .persID, .reduce, .string, .unicode,
      .append,
      .build, .global, .dict, .get, .inst, .list, .put, .setItem, .tuple:
      0
    case .emptyTuple, .popMark, .binFloat, .binInt, .binInt1, .binInt2, .binPersID, .binString,
      .shortBinString, .binUnicode, .emptyList, .appends, .binGet, .longBinGet, .obj, .binPut, .longBinPut,
      .setItems, .emptyDict:
      1
    case .proto, .newObj, .ext1, .ext2, .ext4, .tuple1, .tuple2, .tuple3, .newTrue, .newFalse, .long1,
      .long4:
      2
    case .binBytes, .shortBinBytes:
      3
    case .shortBinUnicode, .binUnicode8, .binBytes8, .emptySet, .addItems, .frozenSet, .newObjEx,
      .stackGlobal, .memoize, .frame:
      4
    case .byteArray8, .nextBuffer, .readonlyBuffer:
      5
    }
  }
}
