import DecantBytes
import DecantTensors
import Foundation
import TestSupport
import Testing
@testable import DecantCheckpoints

/// The state dict that is used without a key, what it leaves out, and what makes the choice a question.
@Suite struct StateDictChoiceTests {
  private typealias Value = TorchFile.Value
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func open(_ make: (inout TorchFile) -> Value) throws -> Checkpoint {
    var file = TorchFile()
    let root = make(&file)
    return try Checkpoint(path: try folder.write("in.pth", file.bytes(root)))
  }

  private static func model(_ file: inout TorchFile) -> Value {
    .mapping(["fc.weight": file.tensor([3, 2]), "fc.bias": file.tensor([3])])
  }

  /// Adam's state of one parameter, as `Optimizer.state_dict()` has it.
  private static func adam(_ file: inout TorchFile) -> Value {
    .mapping([
      "state": .dictionary([
        (.int(0), .mapping(["exp_avg": file.tensor([3, 2]), "exp_avg_sq": file.tensor([3, 2])]))
      ]),
      "param_groups": .list([]),
    ])
  }

  /// Returns a tensor of bytes.
  private static func bytes(_ file: inout TorchFile, _ count: Int) -> Value {
    .call(
      .global("torch._utils", "_rebuild_tensor_v2"),
      [
        file.storage(count, kind: "ByteStorage", width: 1), .int(0), .sizes([count]), .sizes([1]),
        .bool(false),
        .call(.global("collections", "OrderedDict"), []),
      ])
  }

  // MARK: Values that are certainly no weights

  private static let besides:
    [(name: String, value: @Sendable (inout TorchFile) -> Value, tensorCount: Int)] = [
      ("optimizer", { adam(&$0) }, 2),
      ("optimizers", { .list([adam(&$0), adam(&$0)]) }, 4),
      ("moments", { .mapping(["exp_avg": model(&$0), "exp_avg_sq": model(&$0)]) }, 4),
      ("bnb", { optimizer(["state1": $0.tensor([3, 2]), "absmax1": $0.tensor([4])]) }, 2),
      ("adafactor", { optimizer(["exp_avg_sq_row": $0.tensor([3]), "RMS": $0.tensor([])]) }, 2),
      ("shampoo", { optimizer(["precond_0": .list([$0.tensor([3, 3]), $0.tensor([2, 2])])]) }, 2),
      ("jax", { optimizer(["mu": $0.tensor([3, 2]), "nu": $0.tensor([3, 2])]) }, 2),
      (
        "by_name",
        {
          .mapping([
            "state": .mapping(["fc.weight": .mapping(["m": $0.tensor([3, 2]), "v": $0.tensor([3, 2])])]),
            "param_groups": .list([]),
          ])
        }, 2
      ),
      (
        "listed",
        {
          .mapping([
            "state": .mapping(["fc.weight": .mapping(["lens": $0.tensor([3, 2])])]),
            "param_groups": .list([.mapping(["params": .list([.text("fc.weight")])])]),
          ])
        }, 1
      ),
      (
        "fastai",
        {
          .mapping([
            "state": .list([.mapping(["mom": $0.tensor([3, 2])])]),
            "hypers": .list([.mapping(["lr": .float(0.1)])]),
          ])
        }, 1
      ),
      ("state", { .mapping(["fc.weight": .mapping(["momentum_buffer": $0.tensor([3, 2])])]) }, 1),
      ("moments", { .dictionary([(.int(0), .mapping(["exp_avg": $0.tensor([3, 2])]))]) }, 1),
      ("rng", { .mapping(["torch": bytes(&$0, 5056), "cuda_rng": bytes(&$0, 16)]) }, 2),
      ("rng_states", { .list([bytes(&$0, 5056), bytes(&$0, 816)]) }, 2),
      ("best_acc", { $0.tensor([]) }, 1),
      ("center", { $0.tensor([1, 8]) }, 1),
      ("loss", { .mapping(["center": $0.tensor([1, 8])]) }, 1),
      ("callbacks", { .mapping(["best": $0.tensor([]), "last": $0.tensor([1])]) }, 2),
      (
        "frame",
        {
          .call(
            .global("pandas.core.frame", "DataFrame"), [],
            state: .mapping(["blocks": .mapping(["values": $0.tensor([4, 3]), "index": $0.tensor([4])])]))
        }, 2
      ),
      ("epoch", { _ in .int(3) }, 0),
      ("args", { _ in .mapping(["lr": .float(0.1), "arch": .text("resnet50")]) }, 0),
    ]

  @Test(arguments: besides.indices)
  func isNamedAsLeftOut(_ index: Int) throws {
    let (name, make, tensorCount) = Self.besides[index]
    let checkpoint = try open { file in
      .dictionary([(.text("model"), Self.model(&file)), (.text(name), make(&file))])
    }
    let choice = try checkpoint.chosenStateDict()
    #expect(choice.selection.key == "model" && choice.selection.tensors.count == 2)
    #expect(choice.leftOut.map(\.key) == [name])
    #expect(choice.leftOut.map(\.tensorCount) == [tensorCount])
    #expect(try checkpoint.choice(key: ".").selection.tensors.count == 2 + tensorCount)
  }

  /// Returns the state of one parameter, under its number.
  private static func optimizer(_ values: KeyValuePairs<String, Value>) -> Value {
    .mapping(["state": .dictionary([(.int(0), .mapping(values))]), "param_groups": .list([])])
  }

  /// An optimizer's mapping may hold a network beside its state, or in place of it.
  @Test func networksInOptimizers() throws {
    let hidden: [(key: String, value: @Sendable (inout TorchFile) -> Value)] = [
      (
        "optimizer.ema",
        {
          .mapping([
            "optimizer": .mapping(["state": .mapping([:]), "param_groups": .list([]), "ema": Self.model(&$0)])
          ])
        }
      ),
      ("state", { .mapping(["state": Self.model(&$0), "param_groups": .list([])]) }),
      ("state", { .mapping(["state": Self.model(&$0), "hypers": .mapping(["lr": .float(0.1)])]) }),
      (
        "state.net",
        { .mapping(["state": .mapping(["net": Self.model(&$0)]), "param_groups": .list([])]) }
      ),
      ("exp_avg", { .mapping(["exp_avg": Self.model(&$0), "epoch": .int(1)]) }),
    ]
    for (key, make) in hidden {
      let checkpoint = try open(make)
      #expect(try checkpoint.chosenStateDict().selection.key == key)
    }
    // The weights of a parameter group are no optimizer's either, unless another key has them, too.
    let weights = try open { file in
      .mapping([
        "model": Self.model(&file),
        "optimizer": .mapping([
          "state": .mapping([:]),
          "param_groups": .list([.mapping(["params": .list([file.tensor([3, 2])])])]),
        ]),
      ])
    }
    let error = try #require(throws: DecantError.self) { try weights.chosenStateDict() }
    #expect(error.reason.contains("optimizer.param_groups.0.params.0"))
  }

  // MARK: Questions

  private static let questions: [(name: String, value: @Sendable (inout TorchFile) -> Value)] = [
    ("bank", { $0.tensor([8, 4]) }),
    ("bank", { .list([$0.tensor([8, 4])]) }),
    ("head", { model(&$0) }),
    ("exp_avg", { model(&$0) }),
    ("ema_of_exp_avg", { .mapping(["exp_avg": model(&$0)]) }),
    ("norm", { .mapping(["weight": $0.tensor([8]), "bias": $0.tensor([8])]) }),
    ("pca", { .call(.global("sklearn", "PCA"), [], state: .mapping(["components_": $0.tensor([8, 4])])) }),
    ("unread", { .call(.global("lib", "make"), [.tuple([.tuple([$0.storage(6)])]), .sizes([2, 3])]) }),
  ]

  @Test(arguments: questions.indices)
  func isAsked(_ index: Int) throws {
    let (name, make) = Self.questions[index]
    let checkpoint = try open { file in
      .dictionary([(.text("model"), Self.model(&file)), (.text(name), make(&file))])
    }
    let error = try #require(throws: DecantError.self) { try checkpoint.chosenStateDict() }
    #expect(error.code == .ambiguousStateDict && error.reason.contains(name), "\(error)")
    #expect(try checkpoint.choice(key: "model").selection.tensors.count == 2)
    #expect(try checkpoint.choice(key: ".").selection.tensors.count == checkpoint.tensors.count)
  }

  @Test func twinsAreExplained() throws {
    let checkpoint = try open { file in
      .mapping(["model": Self.model(&file), "ema": Self.model(&file)])
    }
    let error = try #require(throws: DecantError.self) { try checkpoint.chosenStateDict() }
    #expect(error.code == .ambiguousStateDict && error.reason.contains("running average (EMA)"))
    let others = try open { file in
      .mapping(["model": Self.model(&file), "other": .mapping(["fc.weight": file.tensor([4, 2])])])
    }
    let other = try #require(throws: DecantError.self) { try others.chosenStateDict() }
    #expect(other.code == .ambiguousStateDict && !other.reason.contains("EMA"))
  }

  /// Twins behind a prefix, with a counter: DataParallel's, and those of an averaged model.
  @Test func twinsBehindAPrefix() throws {
    let checkpoint = try open { file in
      .mapping([
        "model": Self.model(&file),
        "swa": .mapping([
          "n_averaged": file.tensor([]), "module.fc.weight": file.tensor([3, 2]),
          "module.fc.bias": file.tensor([3]),
        ]),
      ])
    }
    let error = try #require(throws: DecantError.self) { try checkpoint.chosenStateDict() }
    #expect(error.reason.contains("the same names and shapes, but for a prefix: often"))
    let others = try open { file in
      .mapping([
        "a": .mapping(["one.weight": file.tensor([3, 2])]),
        "b": .mapping(["two.weight": file.tensor([3, 2])]),
      ])
    }
    let other = try #require(throws: DecantError.self) { try others.chosenStateDict() }
    #expect(!other.reason.contains("EMA"))
  }

  /// A state dict at the root is chosen by leaving out the others. The message says how.
  @Test func theRootAlone() throws {
    let checkpoint = try open { file in
      .mapping([
        "conv1.weight": file.tensor([3, 2]), "conv2.weight": file.tensor([3, 2]),
        "bank": .mapping(["x": file.tensor([3, 2])]),
      ])
    }
    let error = try #require(throws: DecantError.self) { try checkpoint.chosenStateDict() }
    #expect(error.advice == .chooseRoot(except: ["bank.*"]))
    let choice = try checkpoint.chosenStateDict(except: ["bank.*"])
    #expect(choice.selection.tensors.map(\.name) == ["conv1.weight", "conv2.weight"])
    #expect(choice.leftOut.map(\.key) == ["bank"])
    #expect(try checkpoint.choice(key: nil, except: ["bank.*"]).selection.tensors.count == 2)
    #expect(try checkpoint.readableChoice(except: ["bank.*"]).selection.tensors.count == 2)
    #expect(
      try #require(throws: DecantError.self) { try checkpoint.readableChoice(except: ["bank.*", "none"]) }
        .code
        == .tensorNotFound)
    // No pattern is offered that matches a weight, too.
    let alike = try open { file in
      .mapping([
        "bank.weight": file.tensor([3, 2]), "conv2.weight": file.tensor([3, 2]),
        "bank": .mapping(["x": file.tensor([3, 2])]),
      ])
    }
    let alikeError = try #require(throws: DecantError.self) { try alike.chosenStateDict() }
    #expect(alikeError.advice == .chooseRoot(except: []))
    // One of two state dicts is left, too.
    let two = try open { file in .mapping(["model": Self.model(&file), "ema": Self.model(&file)]) }
    #expect(try two.chosenStateDict(except: ["ema.*"]).selection.key == "model")
  }

  /// A mapping of many vectors around a small state dict is not left out for it.
  @Test func manyVectorsAreNoValues() throws {
    let checkpoint = try open { file in
      var pairs = (0..<9).map { (Value.text("bn\($0).weight"), file.tensor([8])) }
      pairs.append((.text("delta"), .mapping(["fc.weight": file.tensor([3, 2])])))
      return .dictionary(pairs)
    }
    let error = try #require(throws: DecantError.self) { try checkpoint.chosenStateDict() }
    #expect(error.code == .ambiguousStateDict && error.reason.contains("delta.fc.weight"))
  }

  /// A vector larger than the state dict may be a whole network's flat parameters.
  @Test func flatParametersAreAsked() throws {
    let checkpoint = try open { file in
      .mapping([
        "model": .mapping(["flat": file.tensor([1000])]), "head": .mapping(["w": file.tensor([2, 2])]),
      ])
    }
    let error = try #require(throws: DecantError.self) { try checkpoint.chosenStateDict() }
    #expect(error.reason.contains("model.flat"))
  }

  /// The same tensors under another key are neither a second state dict nor left behind.
  @Test func aliasesAreNotAsked() throws {
    let checkpoint = try open { file in
      let (first, second) = (file.tensorArguments([3, 2]), file.tensorArguments([3, 3]))
      func tensor(_ arguments: [Value]) -> Value {
        .call(.global("torch._utils", "_rebuild_tensor_v2"), arguments)
      }
      func model() -> Value {
        .mapping(["a": tensor(first), "b": tensor(second), "c": tensor(first)])
      }
      return .mapping([
        "model": model(), "best": model(), "tied": tensor(first),
      ])
    }
    let choice = try checkpoint.chosenStateDict()
    #expect(choice.selection.key == "model" && choice.leftOut.map(\.key) == ["best", "tied"])
  }

  /// Codes and masks of two or more sizes may be weights as well; a vector of them is named only.
  @Test(arguments: [("LongStorage", 8), ("BoolStorage", 1)])
  func integersAreAsked(_ kind: String, _ width: Int) throws {
    func open(_ shape: [Int], isInList: Bool) throws -> Checkpoint {
      try self.open { file in
        let strides = shape.indices.map { shape[($0 + 1)...].reduce(1, *) }
        let codes = Value.call(
          .global("torch._utils", "_rebuild_tensor_v2"),
          [
            file.storage(shape.reduce(1, *), kind: kind, width: width), .int(0), .sizes(shape),
            .sizes(strides), .bool(false), .call(.global("collections", "OrderedDict"), []),
          ])
        return .mapping([
          "model": .mapping(["w": file.tensor([8, 8]), "b": file.tensor([8])]),
          "codes": isInList ? .list([codes]) : codes,
        ])
      }
    }
    for isInList in [false, true] {
      let checkpoint = try open([5, 5], isInList: isInList)
      let error = try #require(throws: DecantError.self) { try checkpoint.chosenStateDict() }
      #expect(error.code == .ambiguousStateDict && error.reason.contains("codes"))
    }
    #expect(try open([5], isInList: false).chosenStateDict().leftOut.map(\.key) == ["codes"])
  }

  /// A remedy that would meet two equal names is not offered.
  @Test func equalNamesAreNoChoice() throws {
    func advice(_ root: (inout TorchFile) -> Value) throws -> DecantError.Advice? {
      try #require(throws: DecantError.self) { try open(root).choice(key: nil) }.advice
    }
    #expect(
      try advice { .mapping(["a.b": $0.tensor([2, 2]), "a": .mapping(["b": $0.tensor([3, 3])])]) }
        == .chooseStateDict(["a"], orAll: false))
    #expect(
      try advice {
        .mapping(["m": .mapping(["a.b": $0.tensor([2, 2]), "a": .mapping(["b": $0.tensor([3, 3])])])])
      } == .chooseStateDict(["m.a"], orAll: false))
    #expect(
      try advice { .dictionary([(.int(1), $0.tensor([2, 2])), (.text("1"), $0.tensor([3, 3]))]) }
        == .writeTorch)
  }

  /// The object that holds the state dict is not among the values that are left out.
  @Test func theObjectAroundIsNotLeftOut() throws {
    let checkpoint = try open {
      .call(
        .global("argparse", "Namespace"), [],
        state: .mapping(["model": .mapping(["w": $0.tensor([2, 2])]), "epoch": .int(3)]))
    }
    #expect(try checkpoint.chosenStateDict().leftOut.map(\.key) == ["epoch"])
  }

  /// Many mappings inside each other are compared in time proportional to their number.
  @Test func manyMappings() throws {
    let checkpoint = try open { file in
      var value = Value.mapping(["w": file.tensor([2]), "v": file.tensor([2])])
      for _ in 0..<400 { value = .mapping(["w": file.tensor([2]), "v": file.tensor([2]), "inner": value]) }
      return .list((0..<4).map { _ in value })
    }
    #expect(
      try #require(throws: DecantError.self) { try checkpoint.chosenStateDict() }.code == .ambiguousStateDict)
  }

  /// A file without a state dict is one tensor or a list of them, and nothing of it is left out.
  @Test func takesAllTensorsWithoutAStateDict() throws {
    let checkpoint = try open { file in .list([file.tensor([3, 2]), file.tensor([4])]) }
    #expect(try checkpoint.choice(key: nil).selection.tensors.count == 2)
    #expect(try #require(throws: DecantError.self) { try checkpoint.chosenStateDict() }.code == .noStateDict)
  }

  // MARK: Functions with the arguments of PyTorch's

  private static let foreign: [(name: String, value: @Sendable (inout TorchFile) -> Value)] = [
    (
      "with a format number",
      {
        .call(
          .global("torch_npu.utils.storage", "_rebuild_npu_tensor"), $0.tensorArguments([2, 3]) + [.int(2)])
      }
    ),
    (
      "behind a class",
      { .call(.global("lib", "rebuild"), [.global("lib", "Tensor")] + $0.tensorArguments([2, 3])) }
    ),
    (
      "in a tuple",
      {
        .call(
          .global("lib", "rebuild"),
          [.global("lib", "Tensor"), .tuple($0.tensorArguments([2, 3])), .mapping([:])])
      }
    ),
    (
      "in a parameter",
      {
        .call(
          .global("torch._utils", "_rebuild_parameter"),
          [
            .call(.global("torch_npu.utils.storage", "_rebuild_npu_tensor"), $0.tensorArguments([2, 3])),
            .bool(true), .call(.global("collections", "OrderedDict"), []),
          ])
      }
    ),
  ]

  @Test(arguments: foreign.indices)
  func isReadAsPyTorchs(_ index: Int) throws {
    let (name, make) = Self.foreign[index]
    let checkpoint = try open { file in .mapping(["x": make(&file)]) }
    let entry = try #require(checkpoint.tensors.first, "\(name)")
    #expect(entry.tensor.shape == [2, 3] && entry.tensor.dtype == .float32, "\(name)")
    #expect(checkpoint.objects.allSatisfy { $0.unreadTensor == nil }, "\(name)")
    #expect(
      checkpoint.warnings.contains { $0.contains("rebuild") && $0.contains("_rebuild_tensor_v2") }, "\(name)")
  }

  // MARK: Arrays of other libraries

  @Test func readsAnArrayOfJAX() throws {
    let data = (0..<24).map { UInt8($0) }
    let checkpoint = try open { _ in
      .mapping([
        "x": .call(
          .global("jax._src.array", "_reconstruct_array"),
          [
            .global("numpy._core.multiarray", "_reconstruct"),
            .tuple([.global("numpy", "ndarray"), .sizes([0]), .bytes([98])]),
            .tuple([.int(1), .sizes([2, 3]), .numpyType("f4"), .bool(false), .bytes(data)]),
            .mapping(["weak_type": .bool(false)]),
          ])
      ])
    }
    #expect(checkpoint.tensors.map(\.tensor.shape) == [[2, 3]])
    #expect(try checkpoint.tensors.first?.tensor.rowMajorBytes() == data)
  }

  @Test(arguments: [true, false]) func readsAMaskedArrayWithoutMaskedElements(_ isMasked: Bool) throws {
    let checkpoint = try open { _ in
      .mapping([
        "x": .call(
          .global("numpy.ma.core", "_mareconstruct"), [.global("numpy.ma.core", "MaskedArray"), .sizes([0])],
          state: .tuple([
            .int(1), .sizes([2]), .numpyType("f4"), .bool(false), .bytes([UInt8](repeating: 1, count: 8)),
            .bytes([0, isMasked ? 1 : 0]), .none,
          ]))
      ])
    }
    #expect(checkpoint.tensors.count == (isMasked ? 0 : 1))
    #expect(
      checkpoint.objects.compactMap(\.unreadTensor)
        == (isMasked ? ["masked array, 1 of 2 elements masked"] : []))
  }

  // MARK: Modules

  private static func module(_ file: inout TorchFile, _ others: [(Value, Value)] = []) -> Value {
    .dictionary(
      [
        (.text("_parameters"), .mapping(["weight": file.tensor([3, 2])])),
        (.text("_buffers"), .mapping(["kept": file.tensor([3]), "lost": file.tensor([3, 3])])),
        (.text("_non_persistent_buffers_set"), .list([.text("lost")])),
        (.text("_modules"), .mapping([:])),
        (.text("anchors"), .list([file.tensor([5, 5])])),
      ] + others)
  }

  private static let modules: [(name: String, value: @Sendable (inout TorchFile) -> Value)] = [
    ("a pickled module", { .call(.global("lib", "Net"), [], state: module(&$0)) }),
    ("a dictionary", { module(&$0) }),
    ("an argument of a call", { .call(.global("lib", "make"), [.global("lib", "Net"), module(&$0)]) }),
    (
      "a value of an argument",
      { .call(.global("lib", "make"), [.mapping(["version": .int(6), "state": module(&$0)])]) }
    ),
    (
      "deeper in an argument",
      { .call(.global("lib", "make"), [.mapping(["a": .mapping(["state": module(&$0)])])]) }
    ),
    ("in a tuple", { .call(.global("lib", "make"), [.tuple([.text("Net"), module(&$0)])]) }),
    ("slots", { .call(.global("lib", "Net"), [], state: .tuple([.none, module(&$0)])) }),
    (
      "a value of the state",
      { .call(.global("lib", "Net"), [], state: .mapping(["version": .int(2), "state": module(&$0)])) }
    ),
  ]

  /// The tensors of a module are those of its `state_dict()`, however it was pickled.
  @Test(arguments: modules.indices)
  func isAModule(_ index: Int) throws {
    let (name, make) = Self.modules[index]
    let checkpoint = try open { file in .mapping(["G": .none, "G_ema": make(&file)]) }
    let choice = try checkpoint.chosenStateDict()
    #expect(choice.selection.key == "G_ema", "\(name)")
    #expect(choice.selection.tensors.map { choice.selection.name(of: $0) } == ["weight", "kept"], "\(name)")
    #expect(choice.attributeCount == 2, "\(name)")
    #expect(try checkpoint.selection(key: "G_ema").tensors.count == 2, "\(name)")
    #expect(try checkpoint.choice(key: nil, withAttributes: true).selection.tensors.count == 4, "\(name)")
    #expect(try checkpoint.selection(key: "G_ema.anchors").tensors.count == 1, "\(name)")
  }
}
