public import ByteParsing
public import Tensors

/// Arrays in NumPy's `.npy` format, versions 1 to 3.
///
/// Source: NumPy `numpy/lib/_format_impl.py`, NEP 1.
public enum NpyArray {
  /// Reads an array's header; its elements are read when asked for.
  ///
  /// - Returns: a tensor, contiguous, or with the strides of column-major order where the file says so.
  /// - Throws: ``CheckpointError`` when the file is no `.npy`, holds anything but numbers, or is cut short.
  public static func read(path: String, limits: Limits = Limits()) throws(CheckpointError) -> Tensor {
    let file = ByteSource(try InputFile(path))
    return try NpyReader.tensor(file, try NpyHeader(file), key: "0", limits: limits) {
      (offset, count) throws(CheckpointError) in
      try ByteRange(file, offset: offset, byteCount: count)
    }
  }

  /// Writes numbers in row-major order as version 1.0, atomically.
  public static func write<T: ComputingScalar>(_ values: [T], shape: [Int], to path: String)
    throws(CheckpointError)
  {
    let sizes = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
    let type = T.dtype == .float64 ? "<f8" : "<f4"
    var header = "{'descr': '\(type)', 'fortran_order': False, 'shape': (\(sizes)), }"
    // The data begins at a multiple of 64.
    header += String(repeating: " ", count: 63 - (10 + header.utf8.count) % 64) + "\n"
    let output = try AtomicOutput(path, overwrite: true)
    let length = UInt16(header.utf8.count)
    output.write(
      NpyHeader.magic + [1, 0, UInt8(truncatingIfNeeded: length), UInt8(length >> 8)]
        + Array(header.utf8))
    unsafe values.withUnsafeBytes { unsafe output.write($0) }
    try output.commit()
  }
}
