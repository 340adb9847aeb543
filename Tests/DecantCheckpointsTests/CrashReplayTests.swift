import FuzzTargets
import TestSupport
import Testing

/// Tests with inputs that once crashed, hung or used much memory, and with seeds mutated as the fuzzer mutates them.
///
/// They run the complete fuzz targets; a trap would end the test process.
@Suite struct CrashReplayTests {
  @Test(arguments: FuzzTarget.allCases)
  func everyCrash(_ target: FuzzTarget) throws {
    for name in Fixtures.names(in: "crashes/" + target.rawValue, endingIn: "") {
      target.run(try Fixtures.bytes("crashes/\(target.rawValue)/\(name)"))
    }
  }

  /// Returns valid inputs of a target that are small enough to be read some hundred times.
  private static func seeds(of target: FuzzTarget) throws -> [[UInt8]] {
    func files(_ folder: String, _ suffix: String, prefix: String = "") throws -> [[UInt8]] {
      try Fixtures.names(in: folder, endingIn: suffix).filter { $0.hasPrefix(prefix) }
        .map { try Fixtures.bytes("\(folder)/\($0)") }.filter { $0.count < 24_000 }
    }
    switch target {
    case .pickle: return try files("pickles", ".pkl")
    case .zip: return try files("torch", ".pth") + files("arrays", ".npz")
    case .legacy: return try files("torch", ".pth", prefix: "legacy")
    case .tar: return try files("torch", ".pth", prefix: "tar")
    case .safetensors: return try files("torch", ".safetensors")
    case .gguf: return try files("arrays", ".gguf")
    case .npy: return try files("arrays", ".npy")
    case .folder:
      return try ["dcp", "shards"].map { folder in
        try Fixtures.names(in: "folders/" + folder, endingIn: "").flatMap { name in
          TarMember(name: name, data: try Fixtures.bytes("folders/\(folder)/\(name)")).sealed
        }
      }
    case .model:
      return try files("models", ".onnx")
        + ["float32", "float16"].map {
          try Fixtures.bytes("models/\($0).mlpackage/Data/com.apple.CoreML/model.mlmodel")
        }
    case .ranks:
      return try ["ranks", "sharded_tensors"].map { folder in
        try Fixtures.names(in: "folders/" + folder, endingIn: ".pt").flatMap { name in
          TarMember(name: name, data: try Fixtures.bytes("folders/\(folder)/\(name)")).sealed
        }
      }
    case .image: return try files("pictures", ".png") + files("pictures", ".jpg")
    case .evidence: return try files("torch", ".json") + Self.texts.map { Array($0.utf8) }
    case .scan: return try files("pickles", ".pkl") + files("torch", ".pth") + files("arrays", ".npz")
    }
  }

  private static let texts = [
    "class Net(Module):\n  def forward(self, x: Tensor) -> Tensor:\n    _0 = torch.conv2d(x, w, None, [2, 2], [3, 3], [1, 1], 1)\n    out = torch.add_((self.bn1).forward(_0, ), x)\n    return out\n",
    "  stride : Final[Tuple[int, int]] = (2, 2)\n  eps : Final[float] = 1.0000000000000001e-05\n",
    "def forward(self, x):\n    identity = x\n    out = self.conv1(x)\n    out += identity\n    return out\n",
    #"{"architectures": ["ResNetForImageClassification"], "hidden_sizes": [64, 128], "downsample_in_first_stage": true}"#,
    "arch: resnet50nodown\nstride0: 1\nmodel: dict(type='ResNet', depth=18, strides=(1, 2, 2, 2))\n",
  ]

  @Test(arguments: FuzzTarget.allCases)
  func survivesMutation(_ target: FuzzTarget) throws {
    let seeds = try Self.seeds(of: target).filter { !$0.isEmpty }
    try #require(!seeds.isEmpty)
    var mutation = Mutation(SeededGenerator(seed: 3)) { bytes, generator in
      var bytes = bytes
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        guard let place = bytes.indices.randomElement(using: &generator) else { break }
        bytes[place] = UInt8.random(in: 0...255, using: &generator)
      }
      return bytes
    }
    for round in 0..<150 {
      let input = mutation.mutate(seeds[round * seeds.count / 150])
      target.run(input)
      target.run(mutation.mutate(input))
    }
  }
}
