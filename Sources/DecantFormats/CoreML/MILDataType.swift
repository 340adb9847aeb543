/// The types of elements in an ML Program.
///
/// Source: coremltools 9.0, `mlmodel/format/MIL.proto` and `MILBlob/Blob/BlobDataType.hpp`.
package enum MILDataType: Int, Sendable, CaseIterable {
  case bool = 1
  case string = 2
  case float16 = 10
  case float32 = 11
  case float64 = 12
  case bfloat16 = 13
  case int8 = 21
  case int16 = 22
  case int32 = 23
  case int64 = 24
  case int4 = 25
  case uint8 = 31
  case uint16 = 32
  case uint32 = 33
  case uint64 = 34
  case uint4 = 35
  case uint2 = 36
  case uint1 = 37
  case uint6 = 38
  case uint3 = 39
  case float8e4m3fn = 40
  case float8e5m2 = 41

  /// The number of bits of one element; nil for texts.
  package var bitCount: Int? {
    switch self {
    case .string: nil
    case .uint1: 1
    case .uint2: 2
    case .uint3: 3
    case .int4, .uint4: 4
    case .uint6: 6
    case .bool, .int8, .uint8, .float8e4m3fn, .float8e5m2: 8
    case .float16, .bfloat16, .int16, .uint16: 16
    case .float32, .int32, .uint32: 32
    case .float64, .int64, .uint64: 64
    }
  }

  /// True for floating-point types.
  package var isFloatingPoint: Bool {
    switch self {
    case .float16, .float32, .float64, .bfloat16, .float8e4m3fn, .float8e5m2: true
    default: false
    }
  }

  /// The number of the type in a file of weights; nil for types that it cannot hold.
  package var blobType: UInt32? { Self.blobTypes.first { $0.value == self }?.key }

  /// Returns the type with a number in a file of weights; nil for an unknown number.
  package init?(blobType: UInt32) {
    guard let type = Self.blobTypes[blobType] else { return nil }
    self = type
  }

  private static let blobTypes: [UInt32: MILDataType] = [
    1: .float16, 2: .float32, 3: .uint8, 4: .int8, 5: .bfloat16, 6: .int16, 7: .uint16, 8: .int4, 9: .uint1,
    10: .uint2, 11: .uint4, 12: .uint3, 13: .uint6, 14: .int32, 15: .uint32, 16: .float8e4m3fn,
    17: .float8e5m2,
  ]
}
