package import DecantPickle
package import DecantTensors

/// The storage classes and dtypes of PyTorch, by name.
///
/// Source: PyTorch `torch/storage.py`, `torch/_utils.py`.
package enum StorageTypes {
  /// A storage class.
  enum StorageClass: Equatable {
    case typed(DType)
    /// `UntypedStorage`. Its persistent ID counts bytes.
    case untyped

    /// The number of bytes of each unit that a persistent ID counts.
    var width: Int {
      switch self {
      case .typed(let dtype): dtype.byteCount
      case .untyped: 1
      }
    }
  }

  /// Returns the storage class of a name such as `torch.FloatStorage` or `torch.cuda.HalfStorage`; nil for other
  /// names.
  static func storageClass(_ global: PickleGlobal) -> StorageClass? {
    if ["UntypedStorage", "_UntypedStorage"].contains(global.name),
      ["torch", "torch.cuda", "torch.storage"].contains(global.module)
    {
      return .untyped
    }
    switch global.module {
    case "torch", "torch.cuda":
      return (dtypes[global.name] ?? scriptDtypes[global.name]).map { .typed($0) }
    default:
      return nil
    }
  }

  /// Returns the dtype of a name such as `torch.float32`; nil for other names.
  package static func dtype(_ global: PickleGlobal) -> DType? {
    global.module == "torch" ? DType(rawValue: global.name) : nil
  }

  /// Returns the dtype of a tensor class such as `torch.FloatTensor` or `torch.cuda.HalfTensor`; nil for other names.
  static func tensorClass(_ global: PickleGlobal) -> DType? {
    guard ["torch", "torch.cuda"].contains(global.module), global.name.hasSuffix("Tensor") else { return nil }
    return dtypes[global.name.dropLast("Tensor".count) + "Storage"]
  }

  /// Returns the name of the storage class in `torch` for a dtype; nil for dtypes that only untyped storages hold.
  package static func typedStorageName(_ dtype: DType) -> String? { dtypes.first { $0.value == dtype }?.key }

  /// The classes that only PyTorch's C++ code defines, for TorchScript archives.
  private static let scriptDtypes: [String: DType] = [
    "Float8_e5m2Storage": .float8_e5m2, "Float8_e4m3fnStorage": .float8_e4m3fn,
    "Float8_e5m2fnuzStorage": .float8_e5m2fnuz, "Float8_e4m3fnuzStorage": .float8_e4m3fnuz,
    "Float8_e8m0fnuStorage": .float8_e8m0fnu, "ComplexHalfStorage": .complex32, "UInt16Storage": .uint16,
    "UInt32Storage": .uint32, "UInt64Storage": .uint64,
  ]

  private static let dtypes: [String: DType] = [
    "DoubleStorage": .float64, "FloatStorage": .float32, "HalfStorage": .float16,
    "BFloat16Storage": .bfloat16,
    "LongStorage": .int64, "IntStorage": .int32, "ShortStorage": .int16, "CharStorage": .int8,
    "ByteStorage": .uint8,
    "BoolStorage": .bool, "ComplexDoubleStorage": .complex128, "ComplexFloatStorage": .complex64,
    "QInt8Storage": .qint8, "QUInt8Storage": .quint8, "QInt32Storage": .qint32, "QUInt4x2Storage": .quint4x2,
    "QUInt2x4Storage": .quint2x4,
  ]
}
