internal import DecantBytes
internal import DecantIO

/// The metadata of a GGUF file: keys and typed values.
///
/// Source: the GGUF specification; docs/formats/gguf.md.
struct GGUFMetadata {
  /// The values in the file's order; for a long array, only the number of its elements.
  private(set) var objects: [CheckpointObject] = []
  /// The value of `general.alignment`; 32 when it is absent.
  private(set) var alignment = 32
  private var budget: ListingBudget
  private let limits: Limits

  /// The most levels of nested arrays; known writers do not nest arrays.
  private static let depth = 8
  /// The most elements of an array that are listed one by one, as for a pickle's lists.
  private static let listed = 16

  /// Reads `count` keys and values.
  ///
  /// - Throws: ``DecantError`` for a duplicate key, an unknown type, and beyond the limits.
  init(_ cursor: inout GGUFCursor, count: Int, limits: Limits) throws(DecantError) {
    self.limits = limits
    // Values of this format are never shared, so their number needs no limit here.
    budget = ListingBudget(limits, values: .max)
    var keys: Set<ExactText> = []
    for _ in 0..<count {
      let start = cursor.offset
      guard let key = String(validating: try cursor.text(), as: UTF8.self) else {
        throw cursor.refusal("a key of the metadata is not UTF-8", at: start)
      }
      guard keys.insert(ExactText(key)).inserted else {
        throw cursor.refusal("the key \(key.escapedForDisplay) appears twice", at: start, .deceptive)
      }
      try value(&cursor, [.text(key)], try cursor.type())
      if key == "general.alignment" { alignment = try GGUFMetadata.alignment(objects.last, cursor, start) }
      if let refusal = budget.refusal { throw refusal.located(file: cursor.file.path) }
    }
  }

  private static func alignment(
    _ object: CheckpointObject?, _ cursor: GGUFCursor, _ start: Int
  ) throws(DecantError) -> Int {
    guard let object, object.type == "uint32", case .integer(let number)? = object.value, number > 0,
      number.nonzeroBitCount == 1
    else {
      throw cursor.refusal("general.alignment is not a power of two of type uint32", at: start)
    }
    return Int(number)
  }

  /// Reads a value and adds it to the list.
  private mutating func value(
    _ cursor: inout GGUFCursor, _ path: [PathKey], _ type: GGUFValueType
  ) throws(DecantError) {
    switch type {
    case .string: try text(&cursor, path)
    case .array: try array(&cursor, path)
    default: add(path, "\(type)", try GGUFValue(type, from: &cursor).json)
    }
  }

  /// Reads a text. A text that is too long to list, or is not UTF-8, is listed by its number of bytes.
  private mutating func text(_ cursor: inout GGUFCursor, _ path: [PathKey]) throws(DecantError) {
    let start = cursor.offset
    var ahead = cursor
    let count = try ahead.count(of: "bytes of text", size: 1)
    guard budget.listsText(byteCount: count) else {
      try cursor.skipText()
      return add(path, "string", nil, count: count, GGUFEncodedValue(.string, at: start, to: cursor))
    }
    if let text = String(validating: try cursor.text(), as: UTF8.self) {
      add(path, "string", .string(text))
    } else {
      let encoded = GGUFEncodedValue(.string, at: start, to: cursor)
      add(path, "string that is no UTF-8", nil, count: count, encoded)
    }
  }

  /// Reads an array. Its elements are listed if they are few and not arrays, otherwise only their number.
  private mutating func array(_ cursor: inout GGUFCursor, _ path: [PathKey]) throws(DecantError) {
    let start = cursor.offset
    let (type, count) = try cursor.array()
    if count > 0 && count <= GGUFMetadata.listed && type != .array {
      for place in 0..<count { try value(&cursor, path + [.position(place)], type) }
    } else {
      try skip(&cursor, count, type, depth: GGUFMetadata.depth)
      add(path, "array of \(type)", nil, count: count, GGUFEncodedValue(.array, at: start, to: cursor))
    }
  }

  /// Skips the elements of an array.
  private func skip(
    _ cursor: inout GGUFCursor, _ count: Int, _ type: GGUFValueType, depth: Int
  ) throws(DecantError) {
    switch type {
    case .string: for _ in 0..<count { try cursor.skipText() }
    case .array:
      guard depth > 1 else {
        throw cursor.refusal(
          "arrays nest more than \(GGUFMetadata.depth) deep", at: cursor.offset, .limitExceeded)
      }
      for _ in 0..<count {
        let (inner, innerCount) = try cursor.array()
        try skip(&cursor, innerCount, inner, depth: depth - 1)
      }
    default: try cursor.skip(count * type.byteCount)
    }
  }

  private mutating func add(
    _ path: [PathKey], _ type: String, _ value: JSONValue?, count: Int? = nil,
    _ encoded: GGUFEncodedValue? = nil
  ) {
    let textBytes = path.reduce(0) { $0 + $1.textByteCount }
    guard budget.admit(visits: 1), budget.admit(steps: path.count, textBytes: textBytes) else { return }
    var object = CheckpointObject(path: path, type: type, value: value, count: count, unreadTensor: nil)
    object.encoded = encoded
    objects.append(object)
  }
}
