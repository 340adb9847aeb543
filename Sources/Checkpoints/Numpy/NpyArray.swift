public import ByteParsing
public import Tensors

/// Arrays in NumPy's `.npy` format, versions 1 to 3.
///
/// Source: NumPy `numpy/lib/_format_impl.py`, NEP 1.
public enum NpyArray {
  /// Reads an array's header; its elements are read when asked for.
  ///
  /// - Returns: a tensor, contiguous, or with the strides of column-major order where the file says so.
  /// - Throws: ``CheckpointError`` when the file is no `.npy`, holds Python objects or structures, or is truncated.
  public static func read(path: String, limits: Limits = Limits()) throws(CheckpointError) -> Tensor {
    let file = ByteSource(try InputFile(path))
    let head = try file.head(12)
    guard head.count >= 10, Array(head.prefix(6)) == [0x93] + Array("NUMPY".utf8) else {
      throw CheckpointError(
        "is no .npy file", file: path, remedy: "In Python: numpy.save(FILE, array) writes one.")
    }
    let isLong = head[6] >= 2
    guard 1...3 ~= head[6], head.count >= (isLong ? 12 : 10) else {
      throw CheckpointError("has .npy version \(head[6]), which is not known", file: path, offset: 6)
    }
    let prefix = isLong ? 12 : 10
    let length = head[8..<prefix].reversed().reduce(0) { $0 << 8 | Int($1) }
    guard length <= 1 << 20 else {
      throw CheckpointError("has a header of \(length) bytes, which no array needs", file: path, offset: 8)
    }
    let header = String(decoding: try file.bytes(at: prefix, count: length), as: UTF8.self)
    let (description, isColumnMajor, shape) = try parse(header, path)
    guard let (dtype, order) = elementType(description) else {
      throw CheckpointError(
        "holds elements of type \(description.escapedForDisplay), not plain numbers", file: path,
        remedy: "In Python: numpy.save(FILE, array.astype('float32')).")
    }
    guard let byteCount = checkedProduct(shape)?.checkedMultiplying(by: dtype.byteCount) else {
      throw CheckpointError("has a shape that no memory holds: \(shape)", file: path)
    }
    guard byteCount == file.byteCount - prefix - length else {
      throw CheckpointError(
        "needs \(byteCount) bytes for shape \(shape) and has \(file.byteCount - prefix - length)", file: path,
        offset: prefix + length, remedy: "The file is truncated or damaged: write it again.")
    }
    let range = try ByteRange(file, offset: prefix + length, byteCount: byteCount)
    let storage = Storage(key: "0", byteOrder: order, byteCount: byteCount, content: range)
    let strides = isColumnMajor ? Array(Tensor.contiguousStrides(shape.reversed()).reversed()) : nil
    do throws(TensorError) {
      return try Tensor(dtype: dtype, shape: shape, strides: strides, storage: storage, limits: limits)
    } catch { throw CheckpointError(error.reason, file: path) }
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
      [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(truncatingIfNeeded: length), UInt8(length >> 8)]
        + Array(header.utf8))
    unsafe values.withUnsafeBytes { unsafe output.write($0) }
    try output.commit()
  }

  /// The three members of the header, which is a Python dictionary literal.
  private static func parse(
    _ header: String, _ path: String
  ) throws(CheckpointError) -> (type: String, isColumnMajor: Bool, shape: [Int]) {
    func value(of key: String) -> Substring? {
      for quote in ["'", "\""] {
        if let range = header.firstRange(of: quote + key + quote) {
          let rest = header[range.upperBound...].drop { $0 == " " || $0 == ":" }
          return rest
        }
      }
      return nil
    }
    guard let type = value(of: "descr"), let order = value(of: "fortran_order"),
      let shape = value(of: "shape"),
      let quote = type.first, quote == "'" || quote == "\"", shape.first == "(",
      let typeEnd = type.dropFirst().firstIndex(of: quote), let shapeEnd = shape.firstIndex(of: ")")
    else {
      throw CheckpointError(
        "has a header that describes no plain array: \(header.prefix(80).description.escapedForDisplay)",
        file: path,
        offset: 10)
    }
    let sizes = shape[..<shapeEnd].dropFirst().split(separator: ",").map {
      $0.filter { $0 != " " && $0 != "L" }
    }
    .filter { !$0.isEmpty }
    let numbers = sizes.compactMap { Int($0) }
    guard numbers.count == sizes.count, numbers.allSatisfy({ $0 >= 0 }) else {
      throw CheckpointError("has a shape that is no tuple of sizes", file: path, offset: 10)
    }
    return (String(type[..<typeEnd].dropFirst()), order.hasPrefix("True"), numbers)
  }

  private static func elementType(_ text: String) -> (DType, Storage.ByteOrder)? {
    guard let mark = text.first, "<>|=".contains(mark) else { return nil }
    return NumpyTypes.dtype(String(text.dropFirst())).map { ($0, mark == ">" ? .big : .little) }
  }
}
