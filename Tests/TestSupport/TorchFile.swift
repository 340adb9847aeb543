/// Builds checkpoints in the layout of `torch.save` from any values and calls, including invalid ones.
package struct TorchFile: Sendable {
  /// A value of the pickle.
  package indirect enum Value: Sendable {
    case none
    case bool(Bool)
    case int(Int64)
    case float(Double)
    case text(String)
    case bytes([UInt8])
    case tuple([Value])
    case list([Value])
    case dictionary([(Value, Value)])
    case global(String, String)
    /// The call `function(*arguments)`, then BUILD with a state.
    case call(Value, [Value], state: Value? = nil)
    /// A persistent id: PERSID for text, BINPERSID for anything else.
    case persistentID(Value)

    /// Returns a dictionary with text keys.
    package static func mapping(_ pairs: KeyValuePairs<String, Value>) -> Value {
      .dictionary(pairs.map { (.text($0.key), $0.value) })
    }

    /// Returns a tuple of integers.
    package static func sizes(_ sizes: [Int]) -> Value { .tuple(sizes.map { .int(Int64($0)) }) }

    /// Returns a `torch.Size`.
    package static func shape(_ sizes: [Int]) -> Value { .call(.global("torch", "Size"), [.sizes(sizes)]) }

    /// Returns a `numpy.dtype` with a code such as `f4`.
    package static func numpyType(_ code: String) -> Value {
      .call(
        .global("numpy", "dtype"), [.text(code), .bool(false), .bool(true)],
        state: .tuple([.int(3), .text("<"), .none, .none, .none, .int(-1), .int(-1), .int(0)]))
    }
  }

  /// The bytes of each storage. A storage's index is its key.
  private var storages: [[UInt8]] = []

  package init() {}

  /// Adds a storage of zeros, float32 or another storage class of `torch`, and returns its persistent id.
  package mutating func storage(
    _ count: Int, kind: String = "FloatStorage", width: Int = 4, location: String = "cpu"
  ) -> Value {
    storages.append([UInt8](repeating: 0, count: count * width))
    return .persistentID(
      .tuple([
        .text("storage"), .global("torch", kind), .text("\(storages.count - 1)"), .text(location),
        .int(Int64(count)),
      ]))
  }

  /// Adds the storage of a tensor of float32 zeros and returns the arguments of `_rebuild_tensor_v2`.
  package mutating func tensorArguments(_ shape: [Int], location: String = "cpu") -> [Value] {
    var strides: [Int] = []
    var count = 1
    for size in shape.reversed() {
      strides.insert(count, at: 0)
      count *= size
    }
    return [
      storage(count, location: location), .int(0), .sizes(shape), .sizes(strides), .bool(false),
      .call(.global("collections", "OrderedDict"), []),
    ]
  }

  /// Adds the storage of a tensor of float32 zeros and returns the tensor.
  package mutating func tensor(_ shape: [Int]) -> Value {
    .call(.global("torch._utils", "_rebuild_tensor_v2"), tensorArguments(shape))
  }

  /// Adds the storage of a float32 tensor whose bytes are all the same, and returns the tensor.
  package mutating func tensor(_ shape: [Int], value: UInt8) -> Value {
    let tensor = tensor(shape)
    storages[storages.count - 1] = storages[storages.count - 1].map { _ in value }
    return tensor
  }

  /// Adds the storage of a one-dimensional float32 tensor and returns the tensor.
  package mutating func tensor(elements: [Float]) -> Value {
    let tensor = tensor([elements.count])
    storages[storages.count - 1] = elements.flatMap { ZipBuilder.little($0.bitPattern) }
    return tensor
  }

  /// Returns the state dict of a small ResNet with basic blocks and the given head. Every element is 0.
  package mutating func resnet(_ head: KeyValuePairs<String, [Int]> = [:], prefix: String = "") -> Value {
    var pairs: [(Value, Value)] = []
    func add(_ name: String, _ shape: [Int], to file: inout TorchFile) {
      pairs.append((.text(name), file.tensor(shape)))
    }
    func normalization(_ name: String, _ channels: Int, to file: inout TorchFile) {
      for part in ["weight", "bias", "running_mean", "running_var"] {
        add("\(name).\(part)", [channels], to: &file)
      }
    }
    add(prefix + "conv1.weight", [4, 3, 7, 7], to: &self)
    normalization(prefix + "bn1", 4, to: &self)
    var channels = 4
    for stage in 0..<4 {
      let width = 4 << stage
      let block = "\(prefix)layer\(stage + 1).0."
      add(block + "conv1.weight", [width, channels, 3, 3], to: &self)
      normalization(block + "bn1", width, to: &self)
      add(block + "conv2.weight", [width, width, 3, 3], to: &self)
      normalization(block + "bn2", width, to: &self)
      if channels != width {
        add(block + "downsample.0.weight", [width, channels, 1, 1], to: &self)
        normalization(block + "downsample.1", width, to: &self)
      }
      channels = width
    }
    for (name, shape) in head { add(name, shape, to: &self) }
    return .dictionary(pairs)
  }

  /// Returns the file: a zip archive with `data.pkl` and the storages.
  package func bytes(_ root: Value) -> [UInt8] {
    var entries = [ZipBuilder.Entry("archive/data.pkl", [0x80, 3] + Self.pickle(root) + [0x2E])]
    for (place, storage) in storages.enumerated() {
      entries.append(ZipBuilder.Entry("archive/data/\(place)", storage))
    }
    entries.append(ZipBuilder.Entry("archive/version", Array("3\n".utf8)))
    return ZipBuilder(entries).bytes
  }

  private static func pickle(_ value: Value) -> [UInt8] {
    switch value {
    case .none: [0x4E]
    case .bool(let value): [value ? 0x88 : 0x89]
    case .int(let value): [0x8A, 8] + ZipBuilder.little(value)
    case .float(let value): [0x47] + ZipBuilder.little(value.bitPattern).reversed()
    case .text(let text): [0x58] + ZipBuilder.little(UInt32(text.utf8.count)) + Array(text.utf8)
    case .bytes(let bytes): [0x42] + ZipBuilder.little(UInt32(bytes.count)) + bytes
    case .tuple(let elements): [0x28] + elements.flatMap(pickle) + [0x74]
    case .list(let elements): [0x5D, 0x28] + elements.flatMap(pickle) + [0x65]
    case .dictionary(let pairs): [0x7D, 0x28] + pairs.flatMap { pickle($0.0) + pickle($0.1) } + [0x75]
    case .global(let module, let name): Array("c\(module)\n\(name)\n".utf8)
    case .call(let function, let arguments, let state):
      pickle(function) + pickle(.tuple(arguments)) + [0x52] + (state.map { pickle($0) + [0x62] } ?? [])
    case .persistentID(.text(let text)): Array("P\(text)\n".utf8)
    case .persistentID(let value): pickle(value) + [0x51]
    }
  }
}
