public import DecantBytes

extension Tensor {
  /// Returns every element in row-major order, as Float or Double. O(elements).
  ///
  /// As Double every real type is exact, except that int64 and uint64 are rounded to nearest beyond 2^53. As
  /// Float, float64 and integers beyond 2^24 are rounded to nearest.
  ///
  /// - Throws: ``DecantError`` for complex, quantised and packed types, and for data that cannot be read.
  public func values<T: TensorScalar>(as type: T.Type) throws(DecantError) -> [T] {
    try DecantError.mapping { try elements(as: type) }
  }

  /// Returns every element of an integer tensor in row-major order. O(elements).
  ///
  /// - Throws: ``DecantError`` for types other than int8, uint8, int16, int32 and int64, and for data that cannot be read.
  public func values(as type: Int.Type) throws(DecantError) -> [Int] {
    try DecantError.mapping { try integers() }
  }

  /// Calls `body` with every element's bytes in row-major order, little-endian, and returns its result.
  ///
  /// A contiguous tensor of an uncompressed file is mapped without a copy: O(1) before `body` touches it. Any
  /// other tensor is gathered in memory first: O(elements). The bytes are valid only during the call. Their
  /// number is ``byteCount``.
  ///
  /// - Throws: ``DecantError`` for a tensor without data and for data that cannot be read. Errors of `body`
  ///   are rethrown.
  public func withBytes<Result>(_ body: (RawSpan) throws -> Result) throws -> Result {
    let mapped = try unsafe mappedBytes()
    let gathered = unsafe mapped == nil ? try rowMajorBytes() : []
    return try unsafe gathered.withUnsafeBytes { bytes in
      let bytes = unsafe RawSpan(_unsafeBytes: mapped ?? bytes)
      return try body(bytes)
    }
  }

  /// Returns the SHA-256 of the elements in row-major order, little-endian, in lower-case hexadecimal.
  ///
  /// Two tensors of one dtype and shape have equal digests when their elements are equal bit by bit, whatever
  /// their strides and storage. O(elements), in bounded memory.
  ///
  /// - Throws: ``DecantError`` for a tensor without data, for data that cannot be read, and without
  ///   libcrypto.
  public func digest() throws(DecantError) -> String { try DecantError.mapping { try sha256() } }

  /// Returns the elements in place when they are contiguous, little-endian and mapped; otherwise nil.
  package func mappedBytes() throws -> UnsafeRawBufferPointer? {
    guard isContiguous, storage.byteOrder == .little, !isNegated, !isConjugated,
      let bytes = unsafe try storage.content?.mappedBytes(), byteOffset + byteCount <= bytes.count
    else { return nil }
    return unsafe UnsafeRawBufferPointer(rebasing: bytes[byteOffset..<byteOffset + byteCount])
  }
}
