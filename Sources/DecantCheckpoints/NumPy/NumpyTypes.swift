package import DecantTensors

/// The mapping between NumPy's type codes and dtypes.
///
/// Source: NumPy `numpy/_core/src/multiarray/descriptor.c`, the array interface.
package enum NumpyTypes {
  /// Returns the dtype of a code without byte order, such as `f4`; nil for texts, objects, dates and records.
  package static func dtype(_ code: String) -> DType? { types[code] }

  /// Returns the code of a dtype, with its byte order; nil for dtypes that NumPy lacks.
  package static func code(_ dtype: DType) -> String? {
    codes[dtype].map { (dtype.byteCount == 1 ? "|" : "<") + $0 }
  }

  private static let codes = Dictionary(uniqueKeysWithValues: types.map { ($0.value, $0.key) })
  private static let types: [String: DType] = [
    "f8": .float64, "f4": .float32, "f2": .float16, "i8": .int64, "i4": .int32, "i2": .int16, "i1": .int8,
    "u8": .uint64, "u4": .uint32, "u2": .uint16, "u1": .uint8, "b1": .bool, "c8": .complex64,
    "c16": .complex128,
  ]
}
