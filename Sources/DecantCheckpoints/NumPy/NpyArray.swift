package import DecantBytes
internal import DecantIO
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
}
