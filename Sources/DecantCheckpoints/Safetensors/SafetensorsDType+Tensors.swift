package import DecantFormats
package import DecantTensors

extension SafetensorsDType {
  /// The dtype of the elements; nil for types that PyTorch has not.
  package var dtype: DType? {
    switch self {
    case .bool: .bool
    case .u8: .uint8
    case .i8: .int8
    case .u16: .uint16
    case .i16: .int16
    case .u32: .uint32
    case .i32: .int32
    case .u64: .uint64
    case .i64: .int64
    case .f16: .float16
    case .bf16: .bfloat16
    case .f32: .float32
    case .f64: .float64
    case .c64: .complex64
    case .f8e5m2: .float8_e5m2
    case .f8e4m3: .float8_e4m3fn
    case .f8e8m0: .float8_e8m0fnu
    case .f8e4m3fnuz: .float8_e4m3fnuz
    case .f8e5m2fnuz: .float8_e5m2fnuz
    case .f4: .float4_e2m1fn_x2
    case .f6e2m3, .f6e3m2: nil
    }
  }

  /// Creates the type of a dtype; nil when the format cannot hold it.
  package init?(_ dtype: DType) {
    guard let type = Self.types[dtype] else { return nil }
    self = type
  }

  private static let types = Dictionary(
    uniqueKeysWithValues: allCases.compactMap { type in type.dtype.map { ($0, type) } })

  /// Returns a shape as the format counts it: it counts each half of a `float4_e2m1fn_x2` pair, so the last size is
  /// doubled and must not overflow.
  package func shape(_ shape: [Int]) -> [Int] {
    guard self == .f4, let last = shape.last else { return shape }
    return shape.dropLast() + [last * 2]
  }
}
