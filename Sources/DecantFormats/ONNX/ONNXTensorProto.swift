package import DecantBytes
package import DecantIO

/// A `TensorProto`: a tensor's name, type and sizes, and where its data is.
package struct ONNXTensorProto: Sendable {
  /// The byte range of the message.
  package let range: Range<Int>
  package private(set) var name = ""
  /// The sizes as the file has them; they may be negative.
  package private(set) var shape: [Int] = []
  /// The number of the type; unknown ones have no ``ONNXElementType``.
  package private(set) var typeNumber: UInt64 = 0
  /// The byte range of `raw_data`.
  package private(set) var rawData: Range<Int>?
  /// True when the data is in another file, whose name, offset and length are in ``external``.
  package private(set) var isExternal = false
  /// The entries of `external_data`, such as `location`.
  package private(set) var external: [(key: String, value: String)] = []
  /// The numbers of the fields of typed data that occur.
  package private(set) var dataFields: Set<Int> = []
  /// True for a segment of a larger tensor, which no current writer makes.
  package private(set) var isSegment = false

  /// The type of the elements; nil for an unknown one.
  package var elementType: ONNXElementType? { ONNXElementType(rawValue: Int(clamping: typeNumber)) }

  /// Reads the message at a range. The data is not read.
  ///
  /// - Throws: ``DecantError`` when the message is damaged, or has more dimensions than `limits` allow.
  package init(_ source: ByteSource, _ range: Range<Int>, limits: Limits = Limits()) throws(DecantError) {
    self.range = range
    var fields = ProtobufReader(source, range)
    while let (number, value) = try fields.next() {
      switch (number, value) {
      case (ONNXField.Tensor.dims, .number(let size)): try add(size, source, limits)
      case (ONNXField.Tensor.dims, .bytes(let packed)):
        var sizes = ProtobufReader(source, packed)
        while let size = try sizes.nextPacked() { try add(size, source, limits) }
      case (ONNXField.Tensor.dataType, .number(let type)): typeNumber = type
      case (ONNXField.Tensor.segment, _): isSegment = true
      case (ONNXField.Tensor.name, .bytes(let text)): name = try fields.text(text, limits)
      case (ONNXField.Tensor.rawData, .bytes(let bytes)): rawData = bytes
      case (ONNXField.Tensor.dataLocation, .number(let location)): isExternal = location == 1
      case (ONNXField.Tensor.externalData, .bytes(let entry)):
        guard external.count < 16 else {
          throw DecantError(
            .damaged, "has more than 16 entries of external data", file: source.path, offset: entry.lowerBound
          )
        }
        external.append(try ONNXTensorProto.entry(source, entry, limits))
      case (ONNXField.Tensor.floatData, _), (ONNXField.Tensor.int32Data, _), (ONNXField.Tensor.stringData, _),
        (ONNXField.Tensor.int64Data, _), (ONNXField.Tensor.doubleData, _), (ONNXField.Tensor.uint64Data, _):
        // An empty packed field says nothing.
        if case .bytes(let bytes) = value, bytes.isEmpty { break }
        dataFields.insert(number)
      default: break
      }
    }
  }

  /// Returns the value of an entry of `external_data`; nil when there is none.
  package func external(_ key: String) -> String? { external.first { $0.key == key }?.value }

  private mutating func add(_ size: UInt64, _ source: ByteSource, _ limits: Limits) throws(DecantError) {
    guard shape.count < limits.rank else {
      throw DecantError(
        limits.exceeded(\.rank, seen: shape.count + 1), "the tensor has more than \(limits.rank) dimensions",
        file: source.path)
    }
    shape.append(Int(truncatingIfNeeded: size))
  }

  /// Reads a `StringStringEntryProto`.
  package static func entry(
    _ source: ByteSource, _ range: Range<Int>, _ limits: Limits
  ) throws(DecantError) -> (key: String, value: String) {
    var fields = ProtobufReader(source, range)
    var entry = (key: "", value: "")
    while let (number, value) = try fields.next() {
      guard case .bytes(let text) = value else { continue }
      if number == ONNXField.Entry.key { entry.key = try fields.text(text, limits) }
      if number == ONNXField.Entry.value { entry.value = try fields.text(text, limits) }
    }
    return entry
  }
}
