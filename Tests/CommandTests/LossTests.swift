import DecantBytes
import DecantCheckpoints
import DecantNetworks
import DecantResNets
import TestSupport
import Testing

/// Commands refuse when they would silently lose part of the weights, in one paragraph on standard error. The exit code
/// is 2, and 1 for a network that is not computed whole.
@Suite struct LossTests {
  typealias Value = TorchFile.Value

  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func write(_ name: String, _ make: (inout TorchFile) -> Value) throws {
    var file = TorchFile()
    let root = make(&file)
    _ = try folder.write(name, file.bytes(root))
  }

  private func decant(_ line: String) throws -> DecantRun {
    try DecantProcess.run(line.split(separator: " ").map(String.init), in: folder.url)
  }

  /// Expects that every command which uses weights refuses and writes no file.
  private func refused(
    _ commands: [String], saying text: String, remedy: String, status: Int32 = 2,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let before = folder.names
    for command in commands {
      let run = try decant(command)
      #expect(run.status == status && run.output.isEmpty, "\(command)", sourceLocation: sourceLocation)
      let last = run.errors.split(separator: "\n").last.map(String.init) ?? ""
      #expect(last.hasPrefix("decant: error: in.pth: "), "\(command)", sourceLocation: sourceLocation)
      #expect(last.contains(text), "\(command): \(last)", sourceLocation: sourceLocation)
      #expect(last.contains(remedy), "\(command): \(last)", sourceLocation: sourceLocation)
    }
    #expect(folder.names == before, sourceLocation: sourceLocation)
  }

  private func writeInput() throws {
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 32, 32), }"
    let padded = header + String(repeating: " ", count: 117 - header.utf8.count) + "\n"
    _ = try folder.write(
      "x.npy",
      [0x93] + Array("NUMPY".utf8) + [1, 0] + ZipBuilder.little(UInt16(padded.utf8.count))
        + Array(padded.utf8)
        + [UInt8](repeating: 0, count: 4 * 3 * 32 * 32))
  }

  private static let network = ["verify in.pth"] + computing
  private static let computing = ["run in.pth --input x.npy", "convert in.pth out.onnx"]

  @Test func unreadTensors() throws {
    try writeInput()
    try write("in.pth") { file in
      let lost = Value.call(.global("lib", "make"), [.tuple([file.storage(588)]), .sizes([4, 3, 7, 7])])
      return .mapping(["state_dict": .mapping(["conv1.weight": lost, "fc.bias": file.tensor([3])])])
    }
    let text = "state_dict.conv1.weight (lib.make)"
    try refused(
      Self.network, saying: "holds tensors that cannot be read: " + text,
      remedy: "Leave them out with --skip-unread.")
    try refused(
      [
        "convert in.pth out.safetensors", "convert in.pth out.pth", "convert in.pth out.npz",
        "convert in.pth out/",
      ],
      saying: "holds tensors that cannot be converted: " + text, remedy: "Leave them out with --skip-unread.")
    #expect(try decant("convert in.pth out.safetensors --except conv1.weight").status == 0)
    #expect(try decant("inspect in.pth").status == 0)
  }

  /// `--skip-unread` and `--except` of every command that uses weights.
  @Test func leavingOutUnreadTensors() throws {
    try writeInput()
    try write("in.pth") { file in
      .mapping([
        "state_dict": file.resnet(["fc.weight": [3, 32], "fc.bias": [3]]),
        "lost": .call(.global("lib", "make"), [file.storage(2)]),
      ])
    }
    try write("other.pth") { $0.resnet(["fc.weight": [3, 32], "fc.bias": [3]]) }
    let commands =
      Self.network + ["identify in.pth", "convert in.pth out.npz", "diff in.pth other.pth"]
    for command in commands {
      #expect(try decant(command).status == 2, "\(command)")
      let run = try decant(command + " --skip-unread --json")
      #expect(run.status == 0, "\(command): \(run.errors)")
      #expect(
        run.errors.contains("left out: 1 tensor that cannot be read: lost (lib.make)"),
        "\(command): \(run.errors)")
      #expect(run.output.contains("\"left_out\""), "\(command)")
      #expect(run.output.contains("\"unread_tensor\""), "\(command)")
      #expect(try decant(command + " --except lost").status == 0, "\(command)")
    }
    #expect(try decant("convert in.pth out.pth --skip-unread").status == 0)
    #expect(try decant("convert in.pth out.pth --except lost").status == 0)
  }

  /// A file that has only tensors of kinds that are not read is not without tensors, and listings have all of them.
  @Test func unreadTensorsAreTensors() throws {
    try write("all.pth") { .mapping(["w": .call(.global("lib", "make"), [$0.storage(6), .sizes([2, 3])])]) }
    for command in ["identify all.pth", "verify all.pth", "convert all.pth out.npz", "diff all.pth all.pth"] {
      let run = try decant(command)
      #expect(run.status == 2 && run.errors.contains("w (lib.make)"), "\(command): \(run.errors)")
    }
    try write("in.pth") {
      .mapping([
        "sd": .mapping([
          "a": $0.tensor([2, 2]), "w": .call(.global("lib", "make"), [$0.storage(6), .sizes([2, 3])]),
        ])
      ])
    }
    let tree = try decant("inspect in.pth --tree").output
    #expect(tree.contains("w") && tree.contains("unsupported tensor: lib.make"))
    #expect(tree.contains("1 tensor, 4 elements, 16 bytes, and 1 unsupported tensor"))
    let matched = try decant("inspect in.pth --filter sd.w")
    #expect(
      matched.status == 0 && matched.output.contains("0 of 2 tensors, 0 elements, 0 bytes, and 1 unsupported")
    )
    let other = try decant("inspect in.pth --filter sd.a")
    #expect(other.status == 0 && !other.output.contains("unsupported"))
    let none = try decant("inspect in.pth --filter 'nope*'")
    #expect(none.status == 1 && none.errors.contains("0 of 2 tensors"), "\(none.errors)")
  }

  /// One rank's piece is a piece to every command that uses weights, also on either side of a comparison.
  @Test(arguments: ["ranks/model_rank_0.pt", "sharded_tensors/model.0.pt"])
  func piecesAreRefused(_ name: String) throws {
    let piece = Fixtures.path("folders/" + name)
    let whole = Fixtures.path("torch/nested.pth")
    for command in [
      "identify \(piece)", "verify \(piece)", "diff \(piece) \(whole)",
      "diff \(whole) \(piece)",
      "diff \(piece) \(piece)", "convert \(piece) out.npz",
    ] {
      let run = try decant(command)
      #expect(
        run.status == 2 && run.errors.contains("holds only one rank's part of"), "\(command): \(run.errors)")
    }
  }

  /// A state dict at the root beside other tensors: what the message offers works in every command.
  @Test func theRootAlone() throws {
    try writeInput()
    try write("in.pth") { file in
      guard case .dictionary(let pairs) = file.resnet(["fc.weight": [3, 32], "fc.bias": [3]]) else {
        return .none
      }
      return .dictionary(pairs + [(.text("bank"), .mapping(["x": file.tensor([8, 4])]))])
    }
    for command in Self.network + ["identify in.pth", "convert in.pth out.npz"] {
      let asked = try decant(command)
      #expect(
        asked.status == 2
          && asked.errors.contains("--except 'bank.*' leaves it out; --key . takes everything."),
        "\(command): \(asked.errors)")
      #expect(try decant(command + " --except bank.*").status == 0, "\(command)")
      #expect(try decant(command + " --key .").status == 0, "\(command)")
    }
  }

  /// `--key .` is offered only where it helps.
  @Test func twoNetworks() throws {
    try writeInput()
    try write("in.pth") { .mapping(["a": $0.resnet(["fc.weight": [3, 32]]), "b": $0.resnet()]) }
    for command in Self.network + ["identify in.pth"] {
      let asked = try decant(command)
      #expect(
        asked.status == 2 && asked.errors.hasSuffix("Choose one: --key a, --key b.\n"), "\(asked.errors)")
      #expect(try decant(command + " --key a").status == 0, "\(command)")
    }
    #expect(try decant("convert in.pth out.npz").errors.contains("--key . takes everything."))
  }

  /// A module becomes its state dict, without attributes, also in a .pth.
  @Test func attributesOfModules() throws {
    try write("in.pth") { file in
      .call(
        .global("lib", "Net"), [],
        state: .mapping([
          "_parameters": .mapping(["weight": file.tensor([3, 2])]),
          "_buffers": .mapping(["kept": file.tensor([3]), "lost": file.tensor([3, 3])]),
          "_non_persistent_buffers_set": .list([.text("lost")]), "_modules": .mapping([:]),
          "anchors": .list([file.tensor([5, 5])]),
        ]))
    }
    for (options, names) in [
      ("", ["weight", "kept"]), (" --with-attributes", ["weight", "kept", "lost", "anchors.0"]),
    ] {
      let run = try decant("convert in.pth out.pth --drop-objects" + options)
      #expect(run.status == 0, "\(run.errors)")
      #expect(run.errors.contains("--with-attributes takes them") == options.isEmpty, "\(run.errors)")
      #expect(try Checkpoint(path: folder.path("out.pth")).tensors.map(\.name) == names)
    }
  }

  @Test func everyTensorUnread() throws {
    try writeInput()
    try write("in.pth") { file in
      .mapping(["conv1.weight": .call(.global("lib", "make"), [.tuple([file.storage(588)])])])
    }
    try refused(Self.network, saying: "conv1.weight (lib.make)", remedy: "decant inspect")
  }

  @Test func outsideTheSelectionIsNamed() throws {
    try write("in.pth") { file in
      .mapping([
        "model": file.resnet(),
        "optimizer": .mapping([
          "state": .dictionary([
            (.int(0), .mapping(["exp_avg": .call(.global("lib", "make"), [file.storage(2)])]))
          ]),
          "param_groups": .list([]),
        ]),
      ])
    }
    let text =
      "decant: warning: outside model the file also holds 1 tensor that cannot be read: optimizer.state.0.exp_avg (lib.make)\n"
    let note = "left out: optimizer (1 tensor); --key . takes everything\n"
    for command in ["verify in.pth", "convert in.pth out.npz"] {
      let run = try decant(command)
      #expect(run.status == 0 && run.errors.contains(note))
    }
    let converted = try decant("convert in.pth out.safetensors --key model")
    #expect(converted.status == 0 && converted.errors.contains(text))
    #expect(try decant("convert in.pth all.safetensors --key .").status == 2)
  }

  @Test func rankParts() throws {
    try writeInput()
    try write("in.pth") { file in
      .mapping([
        "module": .mapping(["conv1.weight": file.tensor([0]), "fc.bias": file.tensor([0])]),
        "param_shapes": .list([.mapping(["conv1.weight": .shape([4, 3, 7, 7]), "fc.bias": .shape([3])])]),
      ])
    }
    try refused(
      Self.network + ["convert in.pth out.safetensors", "convert in.pth out.pth"],
      saying:
        "holds only one rank's part of 2 tensors (DeepSpeed ZeRO stage 3): module.conv1.weight, module.fc.bias",
      remedy: "python zero_to_fp32.py")
    #expect(try decant("inspect in.pth").status == 0)
    #expect(try decant("scan in.pth").status == 0)
  }

  // MARK: Heads

  private static let normalization: KeyValuePairs<String, [Int]> = [
    "fc.0.weight": [16, 32], "fc.1.weight": [16], "fc.1.bias": [16], "fc.1.running_mean": [16],
    "fc.1.running_var": [16], "fc.3.weight": [3, 16],
  ]
  private static let customHeads: [KeyValuePairs<String, [Int]>] = [
    ["fc.0.weight": [16, 32], "fc.0.bias": [16], "fc.3.weight": [3, 16], "fc.3.bias": [3]], normalization,
    ["head.fc1.weight": [16, 32], "head.fc2.weight": [3, 16]],
    ["fc1.weight": [16, 32], "fc2.weight": [3, 16]],
    ["fc.0.weight": [16, 32], "fc.2.weight": [8, 16], "fc.4.weight": [3, 8]],
    ["embedding.weight": [16, 32], "classifier.weight": [3, 16]],
    ["fc.weight": [16, 32], "fc.bias": [16], "fc2.weight": [3, 16], "fc2.bias": [3]],
    [
      "bottleneck.weight": [32], "bottleneck.bias": [32], "bottleneck.running_mean": [32],
      "classifier.weight": [3, 32],
    ],
    ["head.0.weight": [32], "head.0.bias": [32], "head.1.weight": [3, 32]],
  ]

  /// The index of the head whose layers leave nothing open.
  private static let closedHead = 8

  @Test(arguments: customHeads.indices)
  func aHeadThatGoesOn(_ index: Int) throws {
    try writeInput()
    let head = Self.customHeads[index]
    try write("in.pth") { $0.resnet(head) }
    if index == Self.closedHead {
      for command in Self.network { #expect(try decant(command).status == 0, "\(command)") }
      return
    }
    let names = head.map(\.key)
    try refused(
      Self.computing, saying: names.prefix(8).joined(separator: ", "), remedy: "--num-classes 0", status: 1)
    // Conversion of the tensors alone keeps every weight.
    let written = try decant("convert in.pth out.safetensors")
    #expect(written.status == 0)
    let tensors = try Checkpoint(path: folder.path("out.safetensors")).tensors.map(\.name)
    #expect(Set(tensors).isSuperset(of: names))
    let weights = try Checkpoint(path: folder.path("in.pth")).stateDict()
    #expect { _ = try ResNet(weights: weights) } throws: {
      ($0 as? DecantError)?.code == .unsupportedNetwork
    }
  }

  @Test(arguments: customHeads.indices)
  func whatTheMessageAdvisesWorks(_ index: Int) throws {
    try writeInput()
    try write("in.pth") { $0.resnet(Self.customHeads[index]) }
    for command in Self.computing {
      let run = try decant(command + " --num-classes 0")
      #expect(run.status == 0, "\(command)")
      #expect(run.errors.contains("not part of the network"))
    }
    let errors = try decant(Self.computing[0]).errors
    guard errors.contains("--head-activation") else { return }
    let isOnePlace = errors.contains("--head-activation relu, gelu or none")
    let places = errors.split(separator: "between ").count - 1
    let value = isOnePlace ? "gelu" : Array(repeating: "relu", count: places).joined(separator: ",")
    for command in Self.computing {
      #expect(try decant(command + " --head-activation " + value).status == 0, "\(command) \(value)")
    }
    #expect(try decant("run in.pth --input x.npy --head-activation relu,relu,relu,relu").status == 2)
  }

  @Test func oneLayerHasNoActivation() throws {
    try writeInput()
    try write("in.pth") { $0.resnet(["fc.weight": [3, 32], "fc.bias": [3]]) }
    let run = try decant("run in.pth --input x.npy --head-activation relu")
    #expect(run.status == 2 && run.errors.contains("Leave out --head-activation."))
    #expect(try decant("run in.pth --input x.npy --head-activation tanh").status == 64)
  }

  /// Networks whose heads Decant computes in full: no layer is reported as missing.
  @Test(
    arguments: [
      [:], ["fc.weight": [3, 32], "fc.bias": [3]],
      ["classifier.1.weight": [3, 32], "classifier.1.bias": [3]],
      [
        "decoder.conv.weight": [32, 32, 3, 3], "decoder.bn.weight": [32], "decoder.bn.bias": [32],
        "out.weight": [3, 32, 1, 1],
      ],
      ["fc.weight": [3, 32], "fc.bias": [3], "criterion.weight": [3], "auxiliary.weight": [2, 32]],
    ] as [KeyValuePairs<String, [Int]>])
  func wholeNetworks(_ head: KeyValuePairs<String, [Int]>) throws {
    try writeInput()
    try write("in.pth") { $0.resnet(head) }
    for command in Self.network { #expect(try decant(command).status == 0, "\(command) \(head)") }
  }

  /// A network inside a larger one: the command notes which tensors it leaves out.
  @Test func partsOfLargerNetworks() throws {
    try writeInput()
    try write("in.pth") {
      $0.resnet(["head.mlp.0.weight": [32, 32], "head.mlp.2.weight": [8, 32]], prefix: "backbone.")
    }
    try refused(
      Self.computing, saying: "head.mlp.0.weight, head.mlp.2.weight", remedy: "--num-classes 0", status: 1)
    let run = try decant("run in.pth --input x.npy --num-classes 0")
    #expect(run.status == 0)
    #expect(
      run.errors.contains("note: 2 other tensors, such as head.mlp.0.weight, are not part of the network\n"))
    try write("in.pth") {
      $0.resnet(["fc.0.weight": [16, 32], "fc.3.weight": [3, 16]], prefix: "backbone.")
    }
    try refused(Self.computing, saying: "fc.0.weight, fc.3.weight", remedy: "--num-classes 0", status: 1)
    #expect(try decant("verify in.pth").status == 0)
  }

  /// DETR: the names and shapes of its encoder's layers resemble those of a head.
  @Test func detectorsAreNoHeads() throws {
    try writeInput()
    try write("in.pth") {
      $0.resnet(
        [
          "model.encoder.layers.0.mlp.fc1.weight": [64, 32],
          "model.encoder.layers.0.mlp.fc2.weight": [32, 64],
          "model.encoder.layers.0.self_attn.q_proj.weight": [32, 32],
          "class_labels_classifier.weight": [9, 32],
        ], prefix: "model.backbone.")
    }
    for command in Self.network { #expect(try decant(command).status == 0, "\(command)") }
  }

  /// Differences outside the head still give the answer no.
  @Test func anotherNetworkIsStillNo() throws {
    try write("in.pth") { $0.resnet(Self.customHeads[0]) }
    let run = try decant("verify in.pth --arch resnet18")
    #expect(run.status == 1 && run.output.hasPrefix("no: this is not resnet18"))
  }
}
