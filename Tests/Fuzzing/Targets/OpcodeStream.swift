internal import DecantPickle

/// A pickle split into opcodes with their arguments, and the bytes after the last complete one.
struct OpcodeStream {
  /// The byte and the argument of each opcode.
  private(set) var tokens: [[UInt8]] = []
  private var rest: [UInt8] = []

  /// Arguments at and next to the limits of integer types.
  private static let numbers: [UInt64] = [
    0, 1, 2, 3, 4, 8, 16, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFF_FFFF, 0x8000_0000,
    0xFFFF_FFFF, 0x1_0000_0000, 1 << 40, 1 << 61, .max >> 1, 1 << 63, .max,
  ]

  /// Names that readers treat specially.
  private static let names: [(module: String, name: String)] = [
    ("torch._utils", "_rebuild_tensor"), ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_tensor_v3"), ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_parameter_with_state"), ("torch._utils", "_rebuild_qtensor"),
    ("torch._utils", "_rebuild_sparse_tensor"), ("torch._utils", "_rebuild_sparse_csr_tensor"),
    ("torch._utils", "_rebuild_nested_tensor"), ("torch._utils", "_rebuild_meta_tensor_no_storage"),
    ("torch._utils", "_rebuild_wrapper_subclass"), ("torch._utils", "_rebuild_device_tensor_from_numpy"),
    ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"), ("torch._tensor", "_rebuild_from_type_v2"),
    ("torch.storage", "_load_from_bytes"), ("torch.storage", "UntypedStorage"), ("torch", "FloatStorage"),
    ("torch", "LongStorage"), ("torch", "BoolStorage"), ("torch", "QInt8Storage"),
    ("torch", "BFloat16Storage"),
    ("torch", "per_tensor_affine"), ("torch", "per_channel_affine"), ("torch", "sparse_coo"),
    ("torch", "sparse_csr"), ("torch", "float64"), ("torch", "Size"), ("torch", "device"),
    ("torch.nn.parameter", "Parameter"), ("torch.autograd.variable", "Variable"), ("torch", "FloatTensor"),
    ("collections", "OrderedDict"), ("collections", "defaultdict"), ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"), ("numpy.core.numeric", "_frombuffer"), ("numpy", "ndarray"),
    ("numpy", "dtype"), ("_codecs", "encode"), ("builtins", "bytearray"), ("copyreg", "_reconstructor"),
    ("os", "system"), ("builtins", "eval"), ("builtins", "getattr"),
    ("torch.distributed.checkpoint.metadata", "Metadata"),
    ("torch.distributed.checkpoint.metadata", "TensorStorageMetadata"),
    ("torch.distributed.checkpoint.metadata", "ChunkStorageMetadata"),
    ("torch.distributed.checkpoint.metadata", "MetadataIndex"),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
  ]

  /// Splits bytes into opcodes. Consecutive streams count as one.
  init(_ bytes: [UInt8]) {
    var offset = 0
    while offset < bytes.count, let end = Self.end(ofOpcodeAt: offset, in: bytes) {
      tokens.append(Array(bytes[offset..<end]))
      offset = end
      if bytes[end - 1] == PickleOpcode.stop.rawValue, tokens.last?.count == 1,
        end >= bytes.count || bytes[end] != PickleOpcode.proto.rawValue
      {
        break
      }
    }
    rest = Array(bytes[offset...])
  }

  /// The bytes of the stream.
  var bytes: [UInt8] { tokens.flatMap(\.self) + rest }

  /// Makes one random change.
  mutating func change(using generator: inout some RandomNumberGenerator) {
    guard !tokens.isEmpty else { return }
    let place = Int.random(in: 0..<tokens.count, using: &generator)
    let other = Int.random(in: 0..<tokens.count, using: &generator)
    let run = place..<min(tokens.count, place + Int.random(in: 1...12, using: &generator))
    switch Int.random(in: 0..<10, using: &generator) {
    case 0: tokens.swapAt(place, other)
    case 1: tokens.insert(contentsOf: tokens[run], at: other)
    case 2: tokens.removeSubrange(run)
    case 3: tokens.insert([Self.plainOpcodes.randomElement(using: &generator) ?? 0], at: place)
    case 4:
      let count = [2, 3, 10, 100, 2_000].randomElement(using: &generator) ?? 2
      guard bytes.count + count * tokens[place].count < 1 << 18 else { return }
      tokens.insert(contentsOf: repeatElement(tokens[place], count: count), at: place)
    case 5: swapArguments(place, using: &generator)
    case 6: tokens[place] = Self.global(using: &generator)
    case 7: replaceOpcode(place, using: &generator)
    default: changeNumber(place, using: &generator)
    }
  }

  /// Swaps the arguments of two equal opcodes, such as memo indices, names or sizes.
  private mutating func swapArguments(_ place: Int, using generator: inout some RandomNumberGenerator) {
    let alike = tokens.indices.filter { $0 != place && tokens[$0][0] == tokens[place][0] }
    guard let other = alike.randomElement(using: &generator) else { return }
    tokens.swapAt(place, other)
  }

  /// Replaces an opcode by another one with the same form of argument.
  private mutating func replaceOpcode(_ place: Int, using generator: inout some RandomNumberGenerator) {
    let form = Self.form(tokens[place][0])
    let alike = PickleOpcode.allCases.filter { Self.form($0.rawValue) == form }
    tokens[place][0] = alike.randomElement(using: &generator)?.rawValue ?? tokens[place][0]
  }

  /// Changes the number in an argument or the length before it.
  private mutating func changeNumber(_ start: Int, using generator: inout some RandomNumberGenerator) {
    // Use the next opcode with a number, since most have none.
    guard
      let place = tokens.indices.map({ (start + $0) % tokens.count }).first(where: {
        Self.form(tokens[$0][0]).numberByteCount > 0
      })
    else { return }
    let count = Self.form(tokens[place][0]).numberByteCount
    let number = Self.numbers.randomElement(using: &generator) ?? 0
    for index in 0..<min(count, tokens[place].count - 1) {
      tokens[place][1 + index] = UInt8(truncatingIfNeeded: number >> UInt64(8 * index))
    }
  }

  private static func global(using generator: inout some RandomNumberGenerator) -> [UInt8] {
    let (module, name) = names.randomElement(using: &generator) ?? ("os", "system")
    return [PickleOpcode.global.rawValue] + Array("\(module)\n\(name)\n".utf8)
  }

  private static let plainOpcodes = PickleOpcode.allCases.map(\.rawValue).filter { form($0) == .none }

  // MARK: - Forms of arguments

  /// The form of an opcode's argument.
  private enum Form: Equatable {
    case none
    case fixed(Int)
    /// A length with this number of bytes, followed by as many bytes as the length says.
    case counted(Int)
    case lines(Int)

    var numberByteCount: Int {
      switch self {
      case .none, .lines: 0
      case .fixed(let count), .counted(let count): count
      }
    }
  }

  private static func form(_ byte: UInt8) -> Form {
    switch PickleOpcode(rawValue: byte) {
    case .binInt1, .binGet, .binPut, .proto, .ext1: .fixed(1)
    case .binInt2, .ext2: .fixed(2)
    case .binInt, .ext4, .longBinGet, .longBinPut: .fixed(4)
    case .frame, .binFloat: .fixed(8)
    case .long1, .shortBinString, .shortBinBytes, .shortBinUnicode: .counted(1)
    case .long4, .binString, .binBytes, .binUnicode: .counted(4)
    case .binBytes8, .byteArray8, .binUnicode8: .counted(8)
    case .string, .persID, .unicode, .int, .get, .put, .long, .float: .lines(1)
    case .global, .inst: .lines(2)
    default: .none
    }
  }

  /// Returns the offset where the opcode's argument ends, or nil for an invalid opcode or an end outside the bytes.
  private static func end(ofOpcodeAt offset: Int, in bytes: [UInt8]) -> Int? {
    guard PickleOpcode(rawValue: bytes[offset]) != nil else { return nil }
    var end = offset + 1
    switch form(bytes[offset]) {
    case .none: break
    case .fixed(let count): end += count
    case .counted(let width):
      guard bytes.count - end >= width else { return nil }
      let length = bytes[end..<end + width].reversed().reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
      guard length <= UInt64(bytes.count) else { return nil }
      end += width + Int(length)
    case .lines(let count):
      for _ in 0..<count {
        guard let newline = bytes[end...].firstIndex(of: 0x0A) else { return nil }
        end = newline + 1
      }
    }
    return end <= bytes.count ? end : nil
  }
}
