internal import ByteParsing

/// Lists the metadata of a GGUF file: keys and typed values.
///
/// Source: the GGUF specification; docs/formats/gguf.md.
struct GGUFMetadata {
  /// Every value in the file's order; of a long array only how many elements it has.
  private(set) var objects: [CheckpointObject] = []
  /// What `general.alignment` says.
  private(set) var alignment = 32
  private var budget: ListingBudget
  private let limits: Limits

  /// How deep arrays may nest; writers do not nest them at all.
  private static let depth = 8
  /// Elements of an array that are listed one by one, as those of a pickle's lists are.
  private static let listed = 16

  private enum ValueType: UInt32 {
    case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64, float64

    /// Bytes of a value, the least that a text or an array has.
    var byteCount: Int {
      switch self {
      case .uint8, .int8, .bool: 1
      case .uint16, .int16: 2
      case .uint32, .int32, .float32: 4
      case .uint64, .int64, .float64, .string: 8
      case .array: 12
      }
    }
  }

  /// Reads as many keys and values.
  ///
  /// - Throws: ``CheckpointError`` for a key that stands twice, an unknown type, and beyond the limits.
  init(_ cursor: inout GGUFCursor, count: Int, limits: Limits) throws(CheckpointError) {
    self.limits = limits
    // Nothing in this format is shared.
    budget = ListingBudget(limits, values: .max)
    var keys: Set<ExactText> = []
    for _ in 0..<count {
      let start = cursor.offset
      guard let key = String(validating: try cursor.text(), as: UTF8.self) else {
        throw refusal(cursor, start, "a key of the metadata is no UTF-8")
      }
      guard keys.insert(ExactText(key)).inserted else {
        throw refusal(cursor, start, "the key \(key.escapedForDisplay) stands twice")
      }
      try value(&cursor, [.text(key)], try type(&cursor))
      if key == "general.alignment" { alignment = try GGUFMetadata.alignment(objects.last, cursor, start) }
      if let refusal = budget.refusal { throw refusal.located(file: cursor.file.path) }
    }
  }

  private static func alignment(
    _ object: CheckpointObject?, _ cursor: GGUFCursor, _ start: Int
  ) throws(CheckpointError) -> Int {
    guard let object, object.type == "uint32", case .integer(let number)? = object.value, number > 0,
      number.nonzeroBitCount == 1
    else {
      throw refusal(cursor, start, "general.alignment is no power of two of type uint32")
    }
    return Int(number)
  }

  private func type(_ cursor: inout GGUFCursor) throws(CheckpointError) -> ValueType {
    let start = cursor.offset
    let code = try cursor.integer(UInt32.self)
    guard let type = ValueType(rawValue: code) else {
      throw refusal(cursor, start, "the metadata has a value of type \(code), and 0 to 12 are known")
    }
    return type
  }

  /// Reads a value and lists it.
  private mutating func value(
    _ cursor: inout GGUFCursor, _ path: [PathKey], _ type: ValueType
  ) throws(CheckpointError) {
    switch type {
    case .uint8: add(path, type, .exact(Int64(try cursor.integer(UInt8.self))))
    case .int8: add(path, type, .exact(Int64(try cursor.integer(Int8.self))))
    case .uint16: add(path, type, .exact(Int64(try cursor.integer(UInt16.self))))
    case .int16: add(path, type, .exact(Int64(try cursor.integer(Int16.self))))
    case .uint32: add(path, type, .exact(Int64(try cursor.integer(UInt32.self))))
    case .int32: add(path, type, .exact(Int64(try cursor.integer(Int32.self))))
    case .int64: add(path, type, .exact(try cursor.integer(Int64.self)))
    case .uint64:
      let number = try cursor.integer(UInt64.self)
      add(path, type, Int64(exactly: number).map { .exact($0) } ?? .string(String(number)))
    case .float32: add(path, type, .exact(Double(Float(bitPattern: try cursor.integer(UInt32.self)))))
    case .float64: add(path, type, .exact(Double(bitPattern: try cursor.integer(UInt64.self))))
    case .bool:
      let start = cursor.offset
      let byte = try cursor.integer(UInt8.self)
      guard byte <= 1 else { throw refusal(cursor, start, "a truth value is \(byte), neither 0 nor 1") }
      add(path, type, .bool(byte == 1))
    case .string: try text(&cursor, path)
    case .array: try array(&cursor, path)
    }
  }

  /// A text, or its length in bytes when it is too long to list or no UTF-8.
  private mutating func text(_ cursor: inout GGUFCursor, _ path: [PathKey]) throws(CheckpointError) {
    var ahead = cursor
    let count = try ahead.count(of: "bytes of text", size: 1)
    guard budget.listsText(byteCount: count) else {
      try cursor.skipText()
      return add(path, "string", nil, count: count)
    }
    if let text = String(validating: try cursor.text(), as: UTF8.self) {
      add(path, "string", .string(text))
    } else {
      add(path, "string that is no UTF-8", nil, count: count)
    }
  }

  /// An array: its elements when they are few and plain, or else their number.
  private mutating func array(_ cursor: inout GGUFCursor, _ path: [PathKey]) throws(CheckpointError) {
    let type = try type(&cursor)
    let count = try cursor.count(of: "elements of an array", size: type.byteCount)
    if count > 0 && count <= GGUFMetadata.listed && type != .array {
      for place in 0..<count { try value(&cursor, path + [.position(place)], type) }
    } else {
      add(path, "array of \(type)", nil, count: count)
      try skip(&cursor, count, type, depth: GGUFMetadata.depth)
    }
  }

  /// Moves over the elements of an array.
  private func skip(
    _ cursor: inout GGUFCursor, _ count: Int, _ type: ValueType, depth: Int
  ) throws(CheckpointError) {
    switch type {
    case .string: for _ in 0..<count { try cursor.skipText() }
    case .array:
      guard depth > 1 else {
        throw refusal(cursor, cursor.offset, "arrays nest more than \(GGUFMetadata.depth) deep")
      }
      for _ in 0..<count {
        let inner = try self.type(&cursor)
        let innerCount = try cursor.count(of: "elements of an array", size: inner.byteCount)
        try skip(&cursor, innerCount, inner, depth: depth - 1)
      }
    default: try cursor.skip(count * type.byteCount)
    }
  }

  private mutating func add(_ path: [PathKey], _ type: ValueType, _ value: JSONValue) {
    add(path, "\(type)", value)
  }

  private mutating func add(_ path: [PathKey], _ type: String, _ value: JSONValue?, count: Int? = nil) {
    let textBytes = path.reduce(0) { $0 + $1.textByteCount }
    guard budget.admit(visits: 1), budget.admit(steps: path.count, textBytes: textBytes) else { return }
    objects.append(
      CheckpointObject(path: path, type: type, value: value, count: count, unreadTensor: nil))
  }
}

/// An error that says a GGUF file's header is wrong.
private func refusal(_ cursor: GGUFCursor, _ offset: Int, _ reason: String) -> CheckpointError {
  CheckpointError(
    reason, file: cursor.file.path, offset: offset, remedy: "The file is damaged: fetch it again.")
}
