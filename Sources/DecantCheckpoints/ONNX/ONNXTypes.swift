internal import DecantFormats
internal import DecantTensors

extension ONNXElementType {
  /// The dtype of the elements; nil for types that PyTorch has not, or does not pack into bytes as ONNX does.
  var dtype: DType? {
    switch self {
    case .float: .float32
    case .double: .float64
    case .float16: .float16
    case .bfloat16: .bfloat16
    case .float8e4m3fn: .float8_e4m3fn
    case .float8e4m3fnuz: .float8_e4m3fnuz
    case .float8e5m2: .float8_e5m2
    case .float8e5m2fnuz: .float8_e5m2fnuz
    case .float8e8m0: .float8_e8m0fnu
    case .float4e2m1: .float4_e2m1fn_x2
    case .complex64: .complex64
    case .complex128: .complex128
    case .int64: .int64
    case .int32: .int32
    case .int16: .int16
    case .int8: .int8
    case .uint64: .uint64
    case .uint32: .uint32
    case .uint16: .uint16
    case .uint8: .uint8
    case .bool: .bool
    case .string, .uint4, .int4, .uint2, .int2, .float6e2m3, .float6e3m2: nil
    }
  }
}
