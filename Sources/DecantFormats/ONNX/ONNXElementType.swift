/// The types of elements in ONNX's `TensorProto.DataType`.
///
/// Source: onnx 1.23, `onnx.proto`.
package enum ONNXElementType: Int, Sendable, CaseIterable {
  case float = 1
  case uint8, int8, uint16, int16, int32, int64, string, bool, float16, double, uint32, uint64
  case complex64, complex128, bfloat16, float8e4m3fn, float8e4m3fnuz, float8e5m2, float8e5m2fnuz
  case uint4, int4, float4e2m1, float8e8m0, uint2, int2, float6e2m3, float6e3m2

  /// The number of bits of one element; nil for texts.
  package var bitCount: Int? {
    switch self {
    case .string: nil
    case .uint2, .int2: 2
    case .uint4, .int4, .float4e2m1: 4
    case .float6e2m3, .float6e3m2: 6
    case .uint8, .int8, .bool, .float8e4m3fn, .float8e4m3fnuz, .float8e5m2, .float8e5m2fnuz, .float8e8m0: 8
    case .uint16, .int16, .float16, .bfloat16: 16
    case .float, .int32, .uint32: 32
    case .double, .int64, .uint64, .complex64: 64
    case .complex128: 128
    }
  }

  /// The field that holds the elements when they are not in `raw_data`, and the form of its numbers. A complex element
  /// is two numbers. Nil for texts.
  package var dataField: (number: Int, encoding: ProtobufNumbers.Encoding)? {
    switch self {
    case .string: nil
    case .float, .complex64: (ONNXField.Tensor.floatData, .fixed(width: 4))
    case .double, .complex128: (ONNXField.Tensor.doubleData, .fixed(width: 8))
    case .int64: (ONNXField.Tensor.int64Data, .varint(width: 8))
    case .uint64: (ONNXField.Tensor.uint64Data, .varint(width: 8))
    case .uint32: (ONNXField.Tensor.uint64Data, .varint(width: 4))
    case .int32: (ONNXField.Tensor.int32Data, .varint(width: 4))
    case .int16, .uint16, .float16, .bfloat16: (ONNXField.Tensor.int32Data, .varint(width: 2))
    // Narrower elements are packed into bytes, and each byte is a number.
    default: (ONNXField.Tensor.int32Data, .varint(width: 1))
    }
  }

  /// The type's name in the enumeration, such as `FLOAT8E4M3FN`.
  package var name: String { String(describing: self).uppercased() }
}
