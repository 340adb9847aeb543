internal import DecantFormats
package import DecantTensors

/// The mapping between safetensors' names of element types and dtypes.
///
/// Source: safetensors 0.8, docs/formats/safetensors.md.
package enum SafetensorsTypes {
  /// Returns the format's name of a dtype; nil when the format cannot hold it.
  package static func name(_ dtype: DType) -> String? {
    switch dtype {
    case .bool: "BOOL"
    case .uint8: "U8"
    case .int8: "I8"
    case .int16: "I16"
    case .uint16: "U16"
    case .int32: "I32"
    case .uint32: "U32"
    case .int64: "I64"
    case .uint64: "U64"
    case .float16: "F16"
    case .bfloat16: "BF16"
    case .float32: "F32"
    case .float64: "F64"
    case .float8_e5m2: "F8_E5M2"
    case .float8_e4m3fn: "F8_E4M3"
    case .float8_e8m0fnu: "F8_E8M0"
    case .float4_e2m1fn_x2: "F4"
    case .float8_e4m3fnuz: "F8_E4M3FNUZ"
    case .float8_e5m2fnuz: "F8_E5M2FNUZ"
    case .complex64: "C64"
    default: nil
    }
  }

  /// Returns the dtype of a name; nil for names without a PyTorch dtype, such as the six-bit types.
  package static func dtype(_ name: String) -> DType? { types[name] }

  /// Returns the number of bits of one element of a type; nil for names that the format does not have.
  package static func bits(_ name: String) -> Int? { SafetensorsDType.bitCount(name) }

  /// Returns a shape as the format counts it: it counts each half of a `float4_e2m1fn_x2` pair, so the last size is
  /// doubled and must not overflow.
  package static func shape(_ shape: [Int], of dtype: DType) -> [Int] {
    guard dtype == .float4_e2m1fn_x2, let last = shape.last else { return shape }
    return shape.dropLast() + [last * 2]
  }

  private static let types = Dictionary(
    uniqueKeysWithValues: DType.allCases.compactMap { dtype in name(dtype).map { ($0, dtype) } })
}
