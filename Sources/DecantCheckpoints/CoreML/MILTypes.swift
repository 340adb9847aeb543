internal import DecantFormats
internal import DecantTensors

extension MILDataType {
  /// The dtype of the elements; nil for texts, and for types of fewer than eight bits.
  var dtype: DType? {
    switch self {
    case .bool: .bool
    case .float16: .float16
    case .float32: .float32
    case .float64: .float64
    case .bfloat16: .bfloat16
    case .float8e4m3fn: .float8_e4m3fn
    case .float8e5m2: .float8_e5m2
    case .int8: .int8
    case .int16: .int16
    case .int32: .int32
    case .int64: .int64
    case .uint8: .uint8
    case .uint16: .uint16
    case .uint32: .uint32
    case .uint64: .uint64
    case .string, .int4, .uint4, .uint2, .uint1, .uint6, .uint3: nil
    }
  }
}
