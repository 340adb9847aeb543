internal import DecantBytes
internal import DecantCheckpoints
internal import DecantPickle
internal import DecantTensors

/// Writes the calls that rebuild tensors, and assigns the storages that the tensors are views of.
///
/// Source: PyTorch `torch/_tensor.py` (`_reduce_ex_internal`), `torch/_utils.py`.
struct TensorPickling {
  /// The class that the loader builds.
  enum Wrapping {
    case tensor
    case parameter
  }

  private let tensors: [PlannedTensor]
  /// For every planned tensor, the index in `stored` of its first strided tensor: the tensor itself, or its first
  /// part.
  private var firsts: [Int] = []
  private let stored: StorageRecords
  /// For every record its number in the file, or -1. Records are numbered in the order in which the pickle first
  /// refers to them.
  private var numbers: [Int]
  private var order: [Int] = []
  /// True when persistent ids have the sixth element that the format before PyTorch 1.6 needs.
  private let isLegacy: Bool

  /// Plans the storages.
  ///
  /// - Throws: ``DecantError`` that names every tensor that the format cannot hold.
  init(_ tensors: [PlannedTensor], shrinks: Bool = false, isLegacy: Bool = false) throws {
    self.tensors = tensors
    self.isLegacy = isLegacy
    var pieces: [PlannedTensor] = []
    for planned in tensors {
      firsts.append(pieces.count)
      let tensor = planned.tensor
      if tensor.layout == .strided, !planned.isMeta { pieces.append(planned) }
      for part in tensor.parts {
        let target =
          tensor.layout != .strided && part.tensor.dtype == tensor.dtype ? planned.dtype : part.tensor.dtype
        pieces.append(
          PlannedTensor(name: planned.name, entry: planned.entry, tensor: part.tensor, dtype: target))
      }
    }
    var refused = RefusedTensors(among: tensors)
    refused.refuse(
      tensors.indices { $0.dtype.kind == .quantized && $0.tensor.quantization == nil },
      "PyTorch cannot load, because the scale is missing or the axes are permuted,")
    try refused.finish(.dequantize)
    if isLegacy {
      refused.refuse(
        tensors.indices { StorageTypes.typedStorageName($0.dtype) == nil },
        "the format before PyTorch 1.6 cannot store")
      try refused.finish(.currentFormat)
    }
    stored = try StorageRecords(pieces, shrinks: shrinks, allowsUntyped: !isLegacy)
    numbers = [Int](repeating: -1, count: stored.records.count)
  }

  /// The records that the written tensors are views of, by number.
  var records: [StorageRecords.Record] { order.map { stored.records[$0] } }

  // MARK: Calls

  /// Writes a tensor.
  ///
  /// - Parameters:
  ///   - isCoalesced: The source's `is_coalesced` of a sparse tensor; nil when unknown.
  ///   - isDetached: True to write the tensor as `state_dict()` returns it, with `requires_grad` false.
  mutating func write(
    _ index: Int, as wrapping: Wrapping, isCoalesced: Bool?, isDetached: Bool, to writer: inout PickleWriter
  ) {
    let (function, requiresGrad) = (function(index, wrapping), tensors[index].tensor.requiresGrad)
    writer.global("torch._utils", function)
    writeArguments(index, wrapping, isCoalesced, requiresGrad && !isDetached, &writer)
    writer.write(.reduce)
  }

  /// Returns the name of the function in `torch._utils` that rebuilds a tensor.
  func function(_ index: Int, _ wrapping: Wrapping) -> String {
    if wrapping == .parameter { return "_rebuild_parameter" }
    let tensor = tensors[index].tensor
    if tensors[index].isMeta { return "_rebuild_meta_tensor_no_storage" }
    if tensor.layout != .strided { return "_rebuild_sparse_tensor" }
    if tensor.quantization != nil { return "_rebuild_qtensor" }
    return record(firsts[index]).isUntyped ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2"
  }

  /// Writes the function's argument tuple.
  mutating func writeArguments(
    _ index: Int, _ wrapping: Wrapping, _ isCoalesced: Bool?, _ requiresGrad: Bool,
    _ writer: inout PickleWriter
  ) {
    if wrapping == .parameter {
      write(index, as: .tensor, isCoalesced: isCoalesced, isDetached: true, to: &writer)
      writer.boolean(requiresGrad)
      writer.emptyOrderedDictionary()
      writer.endTuple(count: 3)
      return
    }
    let planned = tensors[index]
    if planned.isMeta {
      writer.write(.mark)
      writer.global("torch", planned.dtype.rawValue)
      writer.integers(planned.shape)
      writer.integers(planned.tensor.strides)
      writer.boolean(requiresGrad)
      writer.write(.tuple)
      return
    }
    if planned.tensor.layout != .strided { return sparse(index, isCoalesced, &writer) }
    if let quantization = planned.tensor.quantization {
      return quantized(index, quantization, requiresGrad, &writer)
    }
    strided(firsts[index], dtype: planned.dtype, requiresGrad, &writer)
  }

  private func record(_ piece: Int) -> StorageRecords.Record { stored.records[stored[piece].record] }

  /// Writes `(storage, offset, size, stride, requires_grad, hooks[, dtype])`.
  private mutating func strided(
    _ piece: Int, dtype: DType, _ requiresGrad: Bool, _ writer: inout PickleWriter
  ) {
    writer.write(.mark)
    view(piece, &writer)
    writer.boolean(requiresGrad)
    writer.emptyOrderedDictionary()
    if record(piece).isUntyped { writer.global("torch", dtype.rawValue) }
    writer.write(.tuple)
  }

  /// Writes `storage, offset, size, stride`.
  private mutating func view(_ piece: Int, _ writer: inout PickleWriter) {
    let view = stored[piece]
    storage(view.record, &writer)
    writer.integer(view.offset)
    writer.integers(view.shape)
    writer.integers(view.strides)
  }

  /// Writes the persistent id `('storage', class, key, 'cpu', count)`.
  private mutating func storage(_ index: Int, _ writer: inout PickleWriter) {
    let record = stored.records[index]
    writer.write(.mark)
    writer.constant("storage")
    if !record.isUntyped, let name = StorageTypes.typedStorageName(record.elements.dtype) {
      writer.global("torch", name)
    } else {
      writer.global("torch.storage", "UntypedStorage")
    }
    if numbers[index] < 0 {
      numbers[index] = order.count
      order.append(index)
    }
    writer.text(String(numbers[index]))
    writer.constant("cpu")
    writer.integer(record.count)
    if isLegacy { writer.write(.none) }
    writer.write(.tuple)
    writer.write(.persistentID)
  }

  /// Writes `(layout, (part, …, size[, is_coalesced]))`.
  private mutating func sparse(_ index: Int, _ isCoalesced: Bool?, _ writer: inout PickleWriter) {
    let tensor = tensors[index].tensor
    writer.global("torch.serialization", "_get_layout")
    writer.constant("torch." + tensor.layout.rawValue)
    writer.write(.tuple1)
    writer.write(.reduce)
    writer.write(.mark)
    for place in tensor.parts.indices { part(firsts[index] + place, of: tensor.parts[place], index, &writer) }
    writer.global("torch", "Size")
    writer.integers(tensor.shape)
    writer.write(.tuple1)
    writer.write(.reduce)
    if tensor.layout == .sparseCOO, let isCoalesced { writer.boolean(isCoalesced) }
    writer.write(.tuple)
    writer.write(.tuple2)
  }

  /// Writes `(storage, offset, size, stride, (scheme, scale, zero point), requires_grad, hooks)`.
  private mutating func quantized(
    _ index: Int, _ quantization: Quantization, _ requiresGrad: Bool, _ writer: inout PickleWriter
  ) {
    writer.write(.mark)
    view(firsts[index], &writer)
    switch quantization {
    case .perTensor(let scale, let zeroPoint):
      writer.global("torch", quantization.scheme)
      writer.float(scale)
      writer.integer(Int(zeroPoint))
      writer.endTuple(count: 3)
    case .perChannel(_, _, let axis, _):
      writer.write(.mark)
      // PyTorch writes this name for both per-channel schemes; the dtype of the zero points distinguishes them.
      writer.global("torch", "per_channel_affine")
      for place in 0..<2 {
        part(firsts[index] + 1 + place, of: quantization.channelParts[place], index, &writer)
      }
      writer.integer(axis)
      writer.write(.tuple)
    }
    writer.boolean(requiresGrad)
    writer.emptyOrderedDictionary()
    writer.write(.tuple)
  }

  /// Writes a tensor that is a part of another, such as the indices of a sparse tensor.
  private mutating func part(_ piece: Int, of part: TensorPart, _ index: Int, _ writer: inout PickleWriter) {
    writer.global("torch._utils", record(piece).isUntyped ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2")
    let cast = part.tensor.dtype == tensors[index].tensor.dtype && tensors[index].tensor.layout != .strided
    strided(piece, dtype: cast ? tensors[index].dtype : part.tensor.dtype, false, &writer)
    writer.write(.reduce)
  }
}

extension Quantization {
  /// The scales and zero points of per-channel quantisation; empty for other schemes.
  fileprivate var channelParts: [TensorPart] {
    if case .perChannel(let scales, let zeroPoints, _, _) = self {
      [TensorPart(name: "scales", tensor: scales), TensorPart(name: "zero_points", tensor: zeroPoints)]
    } else {
      []
    }
  }
}
