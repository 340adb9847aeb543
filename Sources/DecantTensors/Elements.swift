internal import DecantBytes

/// A Swift type that tensor elements can be read as: Float or Double.
public protocol TensorScalar: BinaryFloatingPoint, BitwiseCopyable, Sendable {
  /// The dtype with the same format.
  static var dtype: DType { get }
}

extension Float: TensorScalar {
  /// float32.
  public static var dtype: DType { .float32 }
}

extension Double: TensorScalar {
  /// float64.
  public static var dtype: DType { .float64 }
}

extension Tensor {
  /// Returns every element in row-major order, as numbers of one type. O(elements).
  ///
  /// Floating-point types of up to 32 bits, bool and integers of up to 32 bits are exact in Double. As Float,
  /// float64 is rounded to nearest.
  ///
  /// - Throws: ``DecantError`` for complex, quantised and bits types, and for data that cannot be read.
  @_specialize(where T == Float)
  @_specialize(where T == Double)
  package func elements<T: TensorScalar>(as type: T.Type) throws -> [T] {
    var result: [T] = []
    result.reserveCapacity(elementCount)
    try unsafe readRowMajor { bytes in
      try unsafe appendNumbers(of: UnsafeRawBufferPointer(bytes), dtype, to: &result)
    }
    return result
  }

  /// Calls `body` with all elements in row-major order, in chunks. Memory: one chunk.
  ///
  /// - Throws: as ``elements(as:)``; errors of `body` are rethrown.
  package func readNumbers(_ body: ([Double]) throws -> Void) throws {
    var numbers: [Double] = []
    // The chunk size keeps the doubles in the second-level cache.
    try unsafe readRowMajor(capacity: 1 << 16) { bytes in
      numbers.removeAll(keepingCapacity: true)
      try unsafe appendNumbers(of: UnsafeRawBufferPointer(bytes), dtype, to: &numbers)
      try body(numbers)
    }
  }

  /// Returns every element of an integer tensor in row-major order. O(elements).
  ///
  /// - Throws: ``DecantError`` for other types, and for data that cannot be read.
  package func integers() throws -> [Int] {
    var result: [Int] = []
    result.reserveCapacity(elementCount)
    try unsafe readRowMajor { bytes in
      switch dtype {
      case .int64: unsafe result.append(contentsOf: bytes.bindMemory(to: Int.self))
      case .int32: unsafe result.append(contentsOf: bytes.bindMemory(to: Int32.self).map(Int.init))
      case .int16: unsafe result.append(contentsOf: bytes.bindMemory(to: Int16.self).map(Int.init))
      case .int8: unsafe result.append(contentsOf: bytes.bindMemory(to: Int8.self).map(Int.init))
      case .uint8: unsafe result.append(contentsOf: bytes.map(Int.init))
      default: throw DecantError(.unsupportedFormat, "its elements are \(dtype.rawValue), not integers")
      }
    }
    return result
  }

  /// Returns the number of infinite or NaN elements. A complex element counts once. Types without both give
  /// 0.
  ///
  /// O(elements). Reads all bytes of floating-point and complex tensors and none of others.
  package func countNonFinite() throws -> Int {
    guard dtype.kind == .floatingPoint || dtype.kind == .complex, dtype != .float4_e2m1fn_x2 else { return 0 }
    let isFinite8 = EightBitFloat.format(of: dtype)?.table.map(\.isFinite)
    var count = 0
    try unsafe readRowMajor { bytes in
      switch dtype {
      case .float64: unsafe count += bytes.count(of: UInt64.self, mask: 0x7FF0_0000_0000_0000, width: 1)
      case .float32: unsafe count += bytes.count(of: UInt32.self, mask: 0x7F80_0000, width: 1)
      case .float16: unsafe count += bytes.count(of: UInt16.self, mask: 0x7C00, width: 1)
      case .bfloat16: unsafe count += bytes.count(of: UInt16.self, mask: 0x7F80, width: 1)
      case .complex128: unsafe count += bytes.count(of: UInt64.self, mask: 0x7FF0_0000_0000_0000, width: 2)
      case .complex64: unsafe count += bytes.count(of: UInt32.self, mask: 0x7F80_0000, width: 2)
      case .complex32: unsafe count += bytes.count(of: UInt16.self, mask: 0x7C00, width: 2)
      default:
        if let isFinite8 {
          for place in bytes.indices where !isFinite8[Int(unsafe bytes[place])] { count += 1 }
        }
      }
    }
    return count
  }
}

extension UnsafeMutableRawBufferPointer {
  /// Returns the number of elements, of `width` words each, in which a word has all mask bits (the largest
  /// exponent) set.
  fileprivate func count<W: FixedWidthInteger & BitwiseCopyable>(of: W.Type, mask: W, width: Int) -> Int {
    let words = unsafe bindMemory(to: W.self)
    var count = 0
    // A sum that has the words' own type and is not checked is computed many at a time. It cannot overflow in a block.
    let block = 4_096
    for start in stride(from: 0, to: words.count / width, by: block) {
      var found: W = 0
      let end = Swift.min(start + block, words.count / width)
      if width == 1 {
        for place in start..<end { unsafe found &+= words[place] & mask == mask ? 1 : 0 }
      } else {
        for place in start..<end {
          unsafe found &+= words[2 * place] & mask == mask || words[2 * place + 1] & mask == mask ? 1 : 0
        }
      }
      count += Int(truncatingIfNeeded: found)
    }
    return count
  }
}

/// Appends the numbers in little-endian bytes of one dtype.
@_specialize(where T == Float)
@_specialize(where T == Double)
func appendNumbers<T: TensorScalar>(
  of bytes: UnsafeRawBufferPointer, _ dtype: DType, to result: inout [T]
) throws(DecantError) {
  func append<S: BitwiseCopyable>(_ stored: S.Type, _ convert: (S) -> T) {
    let (start, count) = (result.count, bytes.count / MemoryLayout<S>.size)
    // Unlike a loop that appends, this one is computed many elements at a time.
    result.append(contentsOf: repeatElement(0, count: count))
    unsafe result.withUnsafeMutableBufferPointer { result in
      for index in 0..<count {
        let raw = unsafe bytes.loadUnaligned(fromByteOffset: index * MemoryLayout<S>.size, as: S.self)
        unsafe result[start + index] = convert(raw)
      }
    }
  }
  switch dtype {
  case T.dtype: unsafe result.append(contentsOf: bytes.bindMemory(to: T.self))
  case .float64: append(UInt64.self) { T(Double(bitPattern: $0)) }
  case .float32: append(UInt32.self) { T(Float(bitPattern: $0)) }
  case .float16: append(UInt16.self) { T(Float16Format.widened($0)) }
  case .bfloat16: append(UInt16.self) { T(Float(bitPattern: UInt32($0) << 16)) }
  case .int64: append(Int64.self) { T($0) }
  case .int32: append(Int32.self) { T($0) }
  case .int16: append(Int16.self) { T($0) }
  case .int8: append(Int8.self) { T($0) }
  case .uint64: append(UInt64.self) { T($0) }
  case .uint32: append(UInt32.self) { T($0) }
  case .uint16: append(UInt16.self) { T($0) }
  case .uint8: append(UInt8.self) { T($0) }
  case .bool: append(UInt8.self) { $0 == 0 ? 0 : 1 }
  default:
    guard let table = EightBitFloat.format(of: dtype)?.table else {
      throw DecantError(.unsupportedFormat, "elements of type \(dtype.rawValue) cannot be read as numbers")
    }
    append(UInt8.self) { T(table[Int($0)]) }
  }
}
