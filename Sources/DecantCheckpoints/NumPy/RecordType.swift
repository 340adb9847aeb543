internal import DecantBytes
internal import DecantIO
internal import DecantTensors

/// A NumPy type with fields, such as `[('w', '<f4', (3, 4)), ('n', '<i8')]`. Each record of an array has all fields.
///
/// Source: NumPy `numpy/_core/src/multiarray/descriptor.c`, `numpy/lib/_format_impl.py`; docs/formats/npy.md.
struct RecordType: Sendable {
  /// A field, or a field of a field.
  struct Field: Sendable {
    /// The names from the outermost field.
    let names: [String]
    /// The type as the file spells it.
    let type: String
    /// The dtype and byte order of the elements; nil for texts, dates and types that no tensor has.
    let numbers: (dtype: DType, order: Storage.ByteOrder)?
    /// True for numbers that no tensor has, such as those of 16 bytes.
    let isUnread: Bool
    /// The sizes of the field in one record, outermost first; empty for one number.
    let shape: [Int]
    /// The offset in a record, and the number of bytes there.
    let offset: Int
    let byteCount: Int

    /// Returns the same field of a record that is itself a field.
    func inside(_ name: String, at place: Int) -> Field {
      Field(
        names: [name] + names, type: type, numbers: numbers, isUnread: isUnread, shape: shape,
        offset: offset.addingReportingOverflow(place).partialValue, byteCount: byteCount)
    }
  }

  /// The number of bytes of a record, with its padding.
  let byteCount: Int
  let fields: [Field]

  /// Creates a type; nil when a field exceeds the record.
  init?(byteCount: Int, fields: [Field]) {
    guard byteCount >= 0,
      fields.allSatisfy({ field in
        field.offset >= 0 && field.byteCount >= 0
          && field.offset.checkedAdding(field.byteCount).map { $0 <= byteCount } ?? false
      })
    else { return nil }
    self.byteCount = byteCount
    self.fields = fields
  }

  /// Returns a field of an array of records as a tensor: the array's sizes, then the field's.
  ///
  /// - Parameter content: the records, one after the other.
  /// - Throws: ``DecantError`` when the sizes exceed limits.
  func tensor(
    of field: Field, in content: any StorageContent, shape: [Int], isColumnMajor: Bool, key: String,
    limits: Limits
  ) throws(DecantError) -> Tensor? {
    guard let (dtype, order) = field.numbers, let count = checkedProduct(shape),
      let total = count.checkedMultiplying(by: field.byteCount)
    else { return nil }
    let storage = Storage(
      key: ([key] + field.names).joined(separator: "."), byteOrder: order, byteCount: total,
      content: RecordFieldContent(content, record: byteCount, field, byteCount: total))
    let all = shape + field.shape
    var strides: [Int]?
    if isColumnMajor, let inner = checkedProduct(field.shape) {
      let outer = Tensor.contiguousStrides(shape.reversed()).reversed().map {
        $0.multipliedReportingOverflow(by: inner).partialValue
      }
      strides = outer + Tensor.contiguousStrides(field.shape)
    }
    return try Tensor(dtype: dtype, shape: all, strides: strides, storage: storage, limits: limits)
  }
}

/// The bytes of one field of all records of an array, gathered when they are read.
struct RecordFieldContent: StorageContent, ChecksummedContent {
  let byteCount: Int
  private let records: any StorageContent
  private let recordByteCount: Int
  private let offset: Int
  private let fieldByteCount: Int

  /// The most bytes of records that are read at once.
  private static let blockByteCount = 1 << 16

  init(_ records: any StorageContent, record recordByteCount: Int, _ field: RecordType.Field, byteCount: Int)
  {
    self.records = records
    self.recordByteCount = recordByteCount
    offset = field.offset
    fieldByteCount = field.byteCount
    self.byteCount = byteCount
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at start: Int) throws {
    try requireInside(start, buffer.count)
    // Small fields are copied from blocks of records. Reading each by itself would cost a call for each number.
    let perBlock = fieldByteCount < 512 ? Self.blockByteCount / max(recordByteCount, 1) : 0
    var done = 0
    guard perBlock > 1 else {
      while done < buffer.count {
        let (record, skipped) = (start + done).quotientAndRemainder(dividingBy: fieldByteCount)
        let count = min(fieldByteCount - skipped, buffer.count - done)
        try unsafe records.read(
          into: UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + count]),
          at: record * recordByteCount + offset + skipped)
        done += count
      }
      return
    }
    try unsafe withUnsafeTemporaryAllocation(byteCount: perBlock * recordByteCount, alignment: 16) {
      while done < buffer.count {
        let (first, skipped) = (start + done).quotientAndRemainder(dividingBy: fieldByteCount)
        let needed = (skipped + buffer.count - done + fieldByteCount - 1) / fieldByteCount
        let count = min(perBlock, needed)
        // The last record may end with padding, which is read, too.
        let block = unsafe UnsafeMutableRawBufferPointer(rebasing: $0[..<(count * recordByteCount)])
        try unsafe records.read(into: block, at: first * recordByteCount)
        for record in 0..<count {
          let from = record == 0 ? skipped : 0
          for index in from..<fieldByteCount where done < buffer.count {
            unsafe buffer[done] = block[record * recordByteCount + offset + index]
            done += 1
          }
        }
      }
    }
  }

  func mappedBytes() -> UnsafeRawBufferPointer? { nil }
  func wholeRecord() -> ZipRecord? { nil }
  func damage(stopsAtFirst: Bool) throws -> [DecantError] {
    try (records as? any ChecksummedContent)?.damage(stopsAtFirst: stopsAtFirst) ?? []
  }
}
