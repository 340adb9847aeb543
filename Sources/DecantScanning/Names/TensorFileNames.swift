/// The names that tensor files use. No other name is ever clean.
///
/// Source: PyTorch 2.13 `torch/_weights_only_unpickler.py` (what its safe loader accepts), `torch/_utils.py`,
/// `torch/_tensor.py`, NumPy's `__reduce__` of arrays, dtypes and scalars, CPython's protocol 2 encodings of
/// `bytes`, `set` and similar types.
enum TensorFileNames {
  /// Returns the use of a name, or nil when tensor files do not use it.
  static func use(_ module: String, _ name: String) -> NameUse? {
    table[module]?[name] ?? (isOptimizer(module, name) ? .value : nil)
  }

  /// Returns true for the classes of optimizers and schedulers, which training states name as values.
  private static func isOptimizer(_ module: String, _ name: String) -> Bool {
    (module == "torch.optim" || module.hasPrefix("torch.optim.")) && NameClass.isTypeName(name)
      && !name.contains(".")
  }

  /// Returns true for functions of PyTorch and NumPy that pickled objects call and that only build parts of them.
  static func isInertFunction(_ full: String) -> Bool { inertFunctions.contains(full) }

  /// Returns the size in bytes of an element of a storage class, or nil for unknown classes. Elements of 4 and 2 bits
  /// are counted in bytes.
  static func elementByteCount(_ storageClass: String) -> Int? {
    elementSizes[storageClass] ?? scriptElementSizes[storageClass]
  }

  /// Classes that PyTorch's C++ code defines, for TorchScript archives, and the old name of UntypedStorage.
  private static let scriptElementSizes: [String: Int] = [
    "Float8_e5m2Storage": 1, "Float8_e4m3fnStorage": 1, "Float8_e5m2fnuzStorage": 1,
    "Float8_e4m3fnuzStorage": 1,
    "Float8_e8m0fnuStorage": 1, "ComplexHalfStorage": 4, "UInt16Storage": 2, "UInt32Storage": 4,
    "UInt64Storage": 8, "_UntypedStorage": 1,
  ]

  private static let elementSizes: [String: Int] = [
    "DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2, "LongStorage": 8,
    "IntStorage": 4, "ShortStorage": 2, "CharStorage": 1, "ByteStorage": 1, "BoolStorage": 1,
    "ComplexDoubleStorage": 16, "ComplexFloatStorage": 8, "QInt8Storage": 1, "QUInt8Storage": 1,
    "QInt32Storage": 4, "QUInt4x2Storage": 1, "QUInt2x4Storage": 1, "UntypedStorage": 1,
  ]

  private static let table: [String: [String: NameUse]] = {
    func all(_ use: NameUse, _ names: String) -> [String: NameUse] {
      Dictionary(names.split(separator: " ").map { (String($0), use) }, uniquingKeysWith: { $1 })
    }
    let elements = "Double Float Half BFloat16 Long Int Short Char Byte Bool".split(separator: " ")
    let storages = elementSizes.keys.filter { $0 != "UntypedStorage" }.joined(separator: " ")
    let tensors = elements.map { $0 + "Tensor" }.joined(separator: " ")
    let builtins = all(
      .type,
      "set frozenset bytearray bytes complex list dict tuple int float str bool unicode long object slice range xrange"
    )
    let dtypes = all(
      .value,
      """
      float16 float32 float64 bfloat16 half float double complex32 complex64 complex128 chalf cfloat cdouble bool \
      int8 int16 int32 int64 uint8 uint16 uint32 uint64 short int long int1 int2 int3 int4 int5 int6 int7 uint1 \
      uint2 uint3 uint4 uint5 uint6 uint7 float8_e5m2 float8_e4m3fn float8_e5m2fnuz float8_e4m3fnuz \
      float8_e8m0fnu float4_e2m1fn_x2 bits8 bits16 bits1x8 bits2x4 bits4x2 qint8 quint8 qint32 quint4x2 quint2x4 \
      per_tensor_affine per_tensor_symmetric per_channel_affine per_channel_symmetric \
      per_channel_affine_float_qparams strided sparse_coo sparse_csr sparse_csc sparse_bsr sparse_bsc \
      contiguous_format channels_last channels_last_3d preserve_format
      """)
    func merged(_ tables: [String: NameUse]...) -> [String: NameUse] {
      tables.reduce(into: [:]) { $0.merge($1) { first, _ in first } }
    }
    let tensorTypes = all(.type, tensors + " Tensor")
    let scalars = all(
      .type,
      """
      bool_ bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 longdouble complex64 \
      complex128 intc uintc longlong ulonglong str_ bytes_ datetime64 timedelta64
      """)
    let multiarray = merged(all(.function, "_reconstruct scalar"), all(.type, "ndarray"))
    let numeric = all(.function, "_frombuffer")
    let paths = all(.type, "PurePath PurePosixPath PureWindowsPath Path PosixPath WindowsPath")
    let dates = all(.type, "date time datetime timedelta timezone")
    return [
      "collections": all(.type, "OrderedDict Counter defaultdict deque"),
      "argparse": all(.type, "Namespace"),
      "pathlib": paths,
      "pathlib._local": paths,
      "datetime": dates,
      "numpy.random._pickle": all(
        .function, "__randomstate_ctor __generator_ctor __bit_generator_ctor"),
      "numpy.random._mt19937": all(.value, "MT19937"),
      "numpy.random._pcg64": all(.value, "PCG64 PCG64DXSM"),
      "numpy.random._philox": all(.value, "Philox"),
      "numpy.random._sfc64": all(.value, "SFC64"),
      "numpy.random.bit_generator": merged(
        all(.function, "__pyx_unpickle_SeedSequence"), all(.value, "SeedSequence")),
      "numpy.ma.core": merged(all(.function, "_mareconstruct"), all(.value, "MaskedArray")),
      "numpy.ma": all(.value, "MaskedArray"),
      // The records in the `.metadata` of torch.distributed.checkpoint.
      "torch.distributed.checkpoint.metadata": all(
        .type,
        """
        Metadata MetadataIndex TensorStorageMetadata BytesStorageMetadata ChunkStorageMetadata TensorProperties \
        StorageMeta _MEM_FORMAT_ENCODING
        """),
      "torch.distributed.checkpoint.filesystem": all(.type, "_StorageInfo _StoragePrefix"),
      "_codecs": all(.function, "encode"),
      "builtins": builtins,
      "__builtin__": builtins,
      "torch": merged(dtypes, all(.value, storages), tensorTypes, all(.type, "Size device")),
      "torch.cuda": merged(all(.value, storages), tensorTypes),
      "torch.sparse": tensorTypes,
      "torch.cuda.sparse": tensorTypes,
      "torch.storage": all(.value, "UntypedStorage TypedStorage _UntypedStorage _TypedStorage"),
      "torch._tensor": merged(
        all(.type, "Tensor"), all(.function, "_rebuild_from_type _rebuild_from_type_v2")),
      "torch.tensor": merged(all(.type, "Tensor"), all(.function, "_rebuild_from_type")),
      "torch.autograd.variable": all(.type, "Variable"),
      "torch.nn.parameter": all(.type, "Parameter Buffer UninitializedParameter UninitializedBuffer"),
      "torch.serialization": all(.function, "_get_layout"),
      "torch._utils": all(
        .function,
        """
        _rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_parameter _rebuild_parameter_with_state \
        _rebuild_qtensor _rebuild_sparse_tensor _rebuild_sparse_csr_tensor _rebuild_nested_tensor \
        _rebuild_device_tensor_from_cpu_tensor _rebuild_device_tensor_from_numpy _rebuild_xla_tensor \
        _rebuild_mlc_tensor _rebuild_meta_tensor_no_storage _rebuild_wrapper_subclass
        """),
      // The range of the ragged dimension of a nested tensor.
      "torch._dynamo.decorators": all(.type, "_DimRange"),
      "torch.nested._internal.nested_tensor": merged(
        all(.function, "_rebuild_njt"), all(.type, "NestedTensor")),
      // An array's description, which joblib replaces by the array that follows it.
      "joblib.numpy_pickle": all(.type, "NumpyArrayWrapper"),
      "sklearn.externals.joblib.numpy_pickle": all(.type, "NumpyArrayWrapper"),
      "numpy": merged(scalars, all(.type, "ndarray dtype")),
      "numpy.core.multiarray": multiarray,
      "numpy._core.multiarray": multiarray,
      "numpy.core.numeric": numeric,
      "numpy._core.numeric": numeric,
    ]
  }()

  private static let inertFunctions: Set<String> = [
    "torch.nn.backends.thnn._get_thnn_function_backend",
    "torch.storage._load_from_bytes", "torch.distributed.remote_device._remote_device",
    "torch.jit._pickle.build_intlist", "torch.jit._pickle.build_tensorlist",
    "torch.jit._pickle.build_doublelist", "torch.jit._pickle.build_boollist",
    "torch.jit._pickle.build_tensor_from_id", "torch.jit._pickle.restore_type_tag",
    "torch.backends.cudnn.rnn.Unserializable", "torch.random.Generator",
    "torch._utils._rebuild_parameter_v2", "torch.ao.quantization.qconfig.default_activation_only_qconfig",
    "torch.distributed.remote_device", "numpy.core._multiarray_umath._reconstruct",
    "numpy._core._multiarray_umath._reconstruct",
    "numpy._core._internal._convert_to_stringdtype_kwargs",
    "torch.fx.immutable_collections.immutable_dict", "torch.fx.immutable_collections.immutable_list",
    "numpy.random.__RandomState_ctor",
    "numpy.random.mtrand.__RandomState_ctor",
    "numpy.matrixlib.defmatrix.matrix", "numpy.matrix", "numpy.recarray", "numpy.record", "numpy.void",
    "numpy.rec.recarray", "numpy.core.records.recarray", "numpy.core.records.record",
    "numpy._core.records.recarray", "numpy._core.records.record", "numpy.chararray", "numpy.poly1d",
  ]
}
