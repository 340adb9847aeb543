/// The data type of a tensor's elements. Raw values are PyTorch's names without `torch.`.
///
/// Source: PyTorch `c10/core/ScalarType.h`.
public enum DType: String, Sendable, CaseIterable {
  case float64, float32, float16, bfloat16
  case float8_e5m2, float8_e4m3fn, float8_e5m2fnuz, float8_e4m3fnuz, float8_e8m0fnu
  /// Two four-bit floats in one byte. One element is the pair.
  case float4_e2m1fn_x2
  /// `complex32` is a pair of float16, `complex64` of float32, `complex128` of float64.
  case complex32, complex64, complex128
  case int64, int32, int16, int8, uint64, uint32, uint16, uint8, bool
  case int1, int2, int3, int4, int5, int6, int7
  case uint1, uint2, uint3, uint4, uint5, uint6, uint7
  case bits8, bits16, bits1x8, bits2x4, bits4x2
  case qint8, quint8, qint32, quint4x2, quint2x4

  /// The kinds of number that an element can be.
  public enum Kind: Sendable {
    case floatingPoint, complex, signedInteger, unsignedInteger, boolean, bits, quantized
  }

  /// The kind of number of an element.
  public var kind: Kind {
    switch self {
    case .float64, .float32, .float16, .bfloat16, .float8_e5m2, .float8_e4m3fn, .float8_e5m2fnuz,
      .float8_e4m3fnuz, .float8_e8m0fnu, .float4_e2m1fn_x2:
      .floatingPoint
    case .complex32, .complex64, .complex128: .complex
    case .int64, .int32, .int16, .int8, .int1, .int2, .int3, .int4, .int5, .int6, .int7: .signedInteger
    case .uint64, .uint32, .uint16, .uint8, .uint1, .uint2, .uint3, .uint4, .uint5, .uint6, .uint7:
      .unsignedInteger
    case .bool: .boolean
    case .bits8, .bits16, .bits1x8, .bits2x4, .bits4x2: .bits
    case .qint8, .quint8, .qint32, .quint4x2, .quint2x4: .quantized
    }
  }

  /// The number of bytes of one element, as PyTorch counts them (`torch.dtype.itemsize`).
  public var byteCount: Int {
    switch self {
    case .complex128: 16
    case .float64, .complex64, .int64, .uint64: 8
    case .float32, .complex32, .int32, .uint32, .qint32: 4
    case .float16, .bfloat16, .int16, .uint16, .bits16: 2
    default: 1
    }
  }

  /// The number of elements in one byte. It exceeds one for the quantised types of four and two bits.
  package var elementsPerByte: Int {
    switch self {
    case .quint4x2: 2
    case .quint2x4: 4
    default: 1
    }
  }

  /// The number of bytes of the unit that byte order applies to: the element, or half of a complex one.
  package var wordByteCount: Int { kind == .complex ? byteCount / 2 : byteCount }

  /// The dtype of a complex number's two parts; nil for other dtypes.
  package var part: DType? {
    switch self {
    case .complex32: .float16
    case .complex64: .float32
    case .complex128: .float64
    default: nil
    }
  }
}
