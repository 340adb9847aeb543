package import DecantBytes
package import DecantIO
package import DecantTensors

/// Arrays in NumPy's `.npy` format, versions 1 to 3.
///
/// Source: NumPy `numpy/lib/_format_impl.py`, NEP 1.
package enum NpyArray {
  /// Reads an array's header; the elements are read on demand.
  ///
  /// - Returns: A contiguous tensor, or one with column-major strides when the file is in Fortran order.
  /// - Throws: ``DecantError`` when the file is not a `.npy` file, holds elements other than numbers, or is
  ///   truncated.
  package static func read(path: String, limits: Limits = Limits()) throws(DecantError) -> Tensor {
    let file = ByteSource(try InputFile(path))
    return try NpyReader.tensor(file, try NpyHeader(file), key: "0", limits: limits) {
      (offset, count) throws(DecantError) in
      try ByteRange(file, offset: offset, byteCount: count)
    }
  }

  /// Writes numbers in row-major order as version 1.0, atomically.
  ///
  /// - Parameter sources: The files that were read, which are never overwritten.
  package static func write<T: TensorScalar>(
    _ values: [T], shape: [Int], to path: String, sources: [FileIdentity] = []
  ) throws(DecantError) {
    let output = try AtomicOutput(
      path, holding: values.count * T.dtype.byteCount, overwrite: true, sources: sources)
    output.write(NpyHeader.bytes(T.dtype, shape))
    unsafe values.withUnsafeBytes { unsafe output.write($0) }
    try output.commit()
  }
}
