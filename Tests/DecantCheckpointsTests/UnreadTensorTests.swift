import DecantBytes
import DecantCheckpoints
import DecantConversion
import TestSupport
import Testing

/// Finds tensors of kinds that are not read, wherever a call hides their data, and never loses them silently.
@Suite struct UnreadTensorTests {
  typealias Value = TorchFile.Value

  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static let data = [UInt8](repeating: 1, count: 24)

  /// Calls that hold the data of a tensor of shape [2, 3], with a description of each.
  private static let kinds: [(name: String, make: @Sendable (inout TorchFile) -> Value)] = [
    (
      "a storage deep in tuples",
      { .call(.global("lib", "make"), [.tuple([.tuple([$0.storage(6)])]), .sizes([2, 3])]) }
    ),
    ("a storage in a list", { .call(.global("lib", "make"), [.list([.list([$0.storage(6)])])]) }),
    ("a storage in a dictionary", { .call(.global("lib", "make"), [.mapping(["storage": $0.storage(6)])]) }),
    (
      "a storage in the state",
      { .call(.global("lib", "Tensor"), [], state: .tuple([$0.storage(6), .int(0)])) }
    ),
    (
      "a storage in an attribute",
      { .call(.global("lib", "Tensor"), [], state: .mapping(["_data": $0.storage(6)])) }
    ),
    (
      "a storage in a list of an attribute",
      {
        .call(
          .global("lib", "make"), [],
          state: .mapping(["shape": .sizes([2, 3]), "s": .list([$0.storage(6)])]))
      }
    ),
    ("a storage by itself", { $0.storage(6) }),
    (
      "a masked array",
      { _ in
        .call(
          .global("numpy.ma.core", "_mareconstruct"), [.global("numpy.ma.core", "MaskedArray"), .sizes([0])],
          state: .tuple([
            .int(1), .sizes([2, 3]), .numpyType("f4"), .bool(false), .bytes(data),
            .bytes([0, 1, 0, 0, 0, 0]), .none,
          ]))
      }
    ),
    (
      "bytes and the name of a type",
      { _ in
        .call(.global("paddle.base", "to_tensor"), [.bytes(data), .text("paddle.float32"), .sizes([2, 3])])
      }
    ),
    (
      "bytes and a type of torch",
      { _ in
        .call(
          .global("torch_xla", "_rebuild"), [.bytes(data), .global("torch", "bfloat16"), .sizes([3, 4])])
      }
    ),
    (
      "attributes",
      { _ in
        .call(
          .global("mindspore", "Tensor"), [],
          state: .mapping(["dtype": .text("Float32"), "shape": .sizes([2, 3]), "data": .bytes(data)]))
      }
    ),
    (
      "a handle",
      { _ in .call(.global("mxnet", "NDArray"), [.none], state: .mapping(["handle": .bytes(data)])) }
    ),
    (
      "a dictionary of type, shape and bytes",
      { _ in .mapping(["dtype": .text("<f4"), "shape": .list([.int(2), .int(3)]), "data": .bytes(data)]) }
    ),
    (
      "numbers that no tensor has",
      { _ in
        .call(
          .global("numpy.core.multiarray", "_reconstruct"),
          [.global("numpy", "ndarray"), .sizes([0]), .bytes([98])],
          state: .tuple([
            .int(1), .sizes([2]), .numpyType("f16"), .bool(false), .bytes([UInt8](repeating: 1, count: 32)),
          ]))
      }
    ),
    (
      "a storage as protocol 0 spells it",
      { _ in
        .call(
          .global("lib", "make"),
          [.persistentID(.text("('storage', <class 'torch.FloatStorage'>, '0', 'cpu', 6)"))])
      }
    ),
    (
      "such a storage by itself",
      { _ in .persistentID(.text("('storage', <class 'torch.FloatStorage'>, '0', 'cpu', 6)")) }
    ),
    (
      "a storage in what is called",
      { .call(.call(.global("functools", "partial"), [.global("lib", "make"), $0.storage(6)]), []) }
    ),
    (
      "numbers one by one",
      { _ in .call(.global("array", "array"), [.text("f"), .list([.float(1), .float(2), .float(3)])]) }
    ),
  ]

  /// Writes and opens `{'whole': a tensor, 'x': the result of make}`.
  private func open(_ make: (inout TorchFile) -> Value) throws -> Checkpoint {
    var file = TorchFile()
    let root = Value.mapping(["whole": file.tensor([2]), "x": make(&file)])
    return try Checkpoint(path: try folder.write("in.pth", file.bytes(root)))
  }

  private func convert(_ checkpoint: Checkpoint, _ change: (inout WriteOptions) -> Void = { _ in })
    throws -> Int
  {
    var options = WriteOptions()
    options.key = "."
    change(&options)
    return try checkpoint.convert(to: folder.path("out.safetensors"), options).tensorCount
  }

  @Test(arguments: kinds.indices)
  func isNamedAndRefused(_ kind: Int) throws {
    let (name, make) = Self.kinds[kind]
    let checkpoint = try open(make)
    let unread = checkpoint.objects.filter { $0.unreadTensor != nil }
    #expect(unread.map(\.name) == ["x"], "\(name)")
    #expect(checkpoint.tensors.map(\.name) == ["whole"], "\(name)")
    let kindText = try #require(unread.first?.unreadTensor)
    #expect {
      _ = try convert(checkpoint)
    } throws: { error in
      let error = error as? DecantError
      return error?.code == .unreadTensors && error?.advice == .skipUnread
        && error?.reason == "holds tensors that cannot be converted: x (\(kindText))"
    }
    #expect(folder.names == ["in.pth"])
    #expect(throws: DecantError.self) { try checkpoint.requireReadable(checkpoint.selection(key: ".")) }
    #expect(try convert(checkpoint) { $0.except = ["x"] } == 1)
    #expect(try convert(checkpoint) { $0.only = ["whole"] } == 1)
  }

  /// Leaving out objects leaves out no tensors.
  @Test(arguments: kinds.indices)
  func droppingObjectsKeepsThem(_ kind: Int) throws {
    let checkpoint = try open(Self.kinds[kind].make)
    var options = WriteOptions()
    options.dropsObjects = true
    #expect {
      _ = try checkpoint.convert(to: folder.path("out.pth"), options)
    } throws: { error in
      let error = error as? DecantError
      return error?.code == .unreadTensors && error?.advice == .skipUnread
    }
    let others = checkpoint.skippingUnreadTensors()
    #expect(try others.convert(to: folder.path("out.pth"), options).tensorCount == 1)
  }

  /// A call of a tensor makes another tensor, and its arguments are no state dict.
  @Test func tensorsInArguments() throws {
    var file = TorchFile()
    let (weight, bias) = (file.tensor([2, 3]), file.tensor([2]))
    func open(_ value: Value) throws -> Checkpoint {
      let root = Value.mapping(["whole": file.tensor([2]), "x": value])
      return try Checkpoint(path: try folder.write("in.pth", file.bytes(root)))
    }
    let eval = Value.global("builtins", "eval")
    let calls: [Value] = [
      .call(.global("lib", "wrap"), [.mapping(["data": weight])]),
      .call(.global("lib", "quantize"), [weight, bias]),
      .call(eval, [.text("data * 2"), .mapping(["data": weight])]),
      .call(eval, [.text("data"), .mapping(["data": bias, "x": .int(1)])]),
    ]
    for call in calls {
      let checkpoint = try open(call)
      #expect(checkpoint.objects.filter { $0.unreadTensor != nil }.map(\.name) == ["x"])
      #expect(checkpoint.stateDictCandidates.allSatisfy { $0.path.isEmpty })
      #expect {
        _ = try checkpoint.readableStateDict()
      } throws: {
        ($0 as? DecantError)?.code == .unreadTensors
      }
    }
    // Containers and calls that take a whole state dict make no tensor.
    let others: [Value] = [
      .call(.global("collections", "deque"), [.list([weight])]),
      .call(.global("lib", "State"), [.mapping(["w": weight, "b": bias])]),
      .call(.global("lib", "make"), [.text("float32"), .int(3)]),
    ]
    for other in others { #expect(try open(other).objects.allSatisfy { $0.unreadTensor == nil }) }
  }

  /// Paddle's forms of a tensor are read under the tensor's own name.
  @Test(arguments: ["builtins", "__builtin__"])
  func tensorsOfPaddle(_ module: String) throws {
    var file = TorchFile()
    let root = Value.mapping([
      "conv.weight": .call(
        .global(module, "eval"), [.text("data"), .mapping(["data": file.tensor([2, 3])])]),
      "conv.bias": .call(.global(module, "tuple"), [.tuple([.text("conv2d_0.b_0"), file.tensor([2])])]),
    ])
    let checkpoint = try Checkpoint(path: try folder.write("in.pth", file.bytes(root)))
    #expect(checkpoint.tensors.map(\.name) == ["conv.weight", "conv.bias"])
    #expect(try checkpoint.readableStateDict().tensors.count == 2)
    #expect(checkpoint.warnings.contains { $0.contains("as Paddle does") })
  }

  /// Objects that are not tensors are not reported as unread tensors.
  @Test func otherObjectsAreNone() throws {
    let checkpoint = try open { file in
      let storage = file.storage(4)
      return .mapping([
        "args": .call(
          .global("argparse", "Namespace"), [],
          state: .mapping(["dtype": .text("float32"), "shape": .sizes([2, 3]), "digest": .bytes([1, 2, 3])])),
        "when": .call(.global("datetime", "datetime"), [.bytes([7, 228, 1, 1, 0, 0, 0, 0, 0, 0])]),
        "blob": .bytes(Self.data), "type": .text("float32"),
        "scalar": .call(
          .global("numpy.core.multiarray", "scalar"),
          [.numpyType("f8"), .bytes([UInt8](repeating: 0, count: 8))]),
        "its": .call(
          .global("torch._utils", "_rebuild_tensor_v2"),
          [storage, .int(0), .sizes([4]), .sizes([1]), .bool(false), .none]),
        "storage": storage,
      ])
    }
    #expect(checkpoint.objects.allSatisfy { $0.unreadTensor == nil })
    #expect(try convert(checkpoint) == 2)
  }

  /// Unread tensors outside the selection cause a warning, not an error.
  @Test func outsideTheSelectionIsAWarning() throws {
    var file = TorchFile()
    let lost = Value.call(.global("lib", "make"), [file.storage(6)])
    let root = Value.mapping([
      "model": .mapping(["w": file.tensor([2])]),
      "optimizer": .mapping([
        "state": .dictionary([(.int(0), .mapping(["m": lost]))]), "param_groups": .list([]),
      ]),
    ])
    let checkpoint = try Checkpoint(path: try folder.write("in.pth", file.bytes(root)))
    let selection = try checkpoint.onlyStateDict()
    try checkpoint.requireReadable(selection)
    #expect(
      checkpoint.unreadWarning(outside: selection)
        == "outside model the file also holds 1 tensor that cannot be read: optimizer.state.0.m (lib.make)"
    )
    #expect(checkpoint.unreadWarning(outside: .all(of: checkpoint)) == nil)
    #expect(try convert(checkpoint) { $0.key = "model" } == 1)
    #expect(throws: DecantError.self) { try convert(checkpoint) }
  }

  /// Tensors that the caller leaves out are neither used nor an error.
  @Test func areLeftOutOnRequest() throws {
    let checkpoint = try open { .call(.global("lib", "make"), [$0.storage(6)]) }
    let others = checkpoint.skippingUnreadTensors()
    #expect(others.skippedTensors.map(\.name) == ["x"])
    #expect(others.objects.allSatisfy { $0.unreadTensor == nil })
    #expect(try convert(others) == 1)
    #expect(try others.readableStateDict(key: ".").tensors.map(\.name) == ["whole"])
    #expect(try others.choice(key: ".").skipped.map(\.name) == ["x"])
    // A .pth leaves them out, too, by their names or on request.
    var options = WriteOptions()
    #expect(try others.convert(to: folder.path("a.pth"), options).tensorCount == 1)
    options.except = ["x"]
    #expect(try checkpoint.convert(to: folder.path("b.pth"), options).tensorCount == 1)
    #expect(try Checkpoint(path: folder.path("b.pth")).tensors.map(\.name) == ["whole"])
  }

  /// Many tensors are counted, and their common kind is named once.
  @Test func manyAreCounted() throws {
    var file = TorchFile()
    let pairs = (0..<20).map { (Value.text("w\($0)"), Value.call(.global("lib", "make"), [file.storage(1)])) }
    let checkpoint = try Checkpoint(path: try folder.write("in.pth", file.bytes(.dictionary(pairs))))
    #expect {
      _ = try checkpoint.readableStateDict()
    } throws: {
      ($0 as? DecantError)?.reason
        == "holds 20 tensors that cannot be read: w0, w1, w2, w3, w4, w5, w6, w7 and 12 more (all: lib.make)"
    }
  }

  /// A container that was searched to a limited depth is searched again, deeper, when needed.
  @Test func deepInAWideDictionary() throws {
    var file = TorchFile()
    let deep = Value.call(.global("lib", "make"), [.list([.list([.list([.tuple([file.storage(6)])])])])])
    let root = Value.mapping(["a": file.tensor([2]), "b": .int(1), "c": .text("float32"), "x": deep])
    let checkpoint = try Checkpoint(path: try folder.write("in.pth", file.bytes(root)))
    #expect(checkpoint.objects.filter { $0.unreadTensor != nil }.map(\.name) == ["x"])
  }

  /// The search ends when a container in a call contains itself.
  @Test func endsOnHostileGraphs() throws {
    // {'x': make(l)} with l = [l, …]: GLOBAL, EMPTY_LIST, BINPUT 0, BINGET 0, APPEND.
    let pickle: [UInt8] =
      [0x80, 2] + Array("}X\u{1}\0\0\0xclib\nmake\n".utf8) + [
        0x5D, 0x71, 0, 0x68, 0, 0x61, 0x85, 0x52, 0x73, 0x2E,
      ]
    let zip = ZipBuilder([
      ZipBuilder.Entry("a/data.pkl", pickle), ZipBuilder.Entry("a/version", Array("3\n".utf8)),
    ])
    let checkpoint = try Checkpoint(path: try folder.write("in.pth", zip.bytes))
    #expect(checkpoint.objects.contains { $0.type == "lib.make" && $0.unreadTensor == nil })
  }
}
