import DecantBytes
import DecantCheckpoints
import DecantTensors
import TestSupport
import Testing

/// Tests of the weights that PyTorch computes from several tensors, with the values that PyTorch computed.
@Suite struct ParametrizedWeightsTests {
  private let checkpoint: Checkpoint
  private let parts: StateDict
  private let expected: StateDict

  init() throws {
    checkpoint = try Checkpoint(path: Fixtures.path("torch/parametrised.pth"))
    parts = try checkpoint.stateDict(at: "parts")
    expected = try checkpoint.stateDict(at: "weights")
  }

  @Test func everyWeightIsFound() throws {
    let resolved = try parts.resolved()
    #expect(Set(resolved.names).isSuperset(of: expected.names))
    let left = Set(resolved.names).subtracting(expected.names)
    #expect(left.allSatisfy { $0.hasSuffix(".bias") || $0 == "spectral_first.weight" })
    for (name, tensor) in expected {
      let found = try #require(resolved[name])
      #expect(found.dtype == tensor.dtype && found.shape == tensor.shape, "\(name)")
    }
  }

  /// Products with a mask have PyTorch's bits; other weights differ by PyTorch's rounding of sums.
  @Test func valuesArePyTorchs() throws {
    let resolved = try parts.resolved()
    for (name, tensor) in expected {
      let found = try #require(resolved[name])
      let distance = try Self.mostULPs(found, tensor)
      #expect(distance <= (name.hasPrefix("pruned") ? 0 : 3), "\(name): \(distance) ulp")
      if name.hasPrefix("pruned") { #expect(try found.sha256() == tensor.sha256(), "\(name)") }
    }
  }

  /// Reads in pieces give the same elements as one read, whatever was read before.
  @Test func piecesAreEqual() throws {
    let tensor = try #require(try parts.resolved()["norm.weight"])
    let whole = try tensor.rowMajorBytes()
    for _ in 0..<2 {
      var pieces: [UInt8] = []
      try unsafe tensor.readRowMajor(capacity: 20) { unsafe pieces.append(contentsOf: $0) }
      #expect(pieces == whole)
    }
  }

  /// With a norm of zero PyTorch divides by it.
  @Test func zeroNormIsNotFinite() throws {
    let tensor = try #require(try parts.resolved()["norm_zero.weight"])
    #expect(try tensor.countNonFinite() == 3)
    #expect(try expected["norm_zero.weight"]?.countNonFinite() == 3)
  }

  /// The first spectral norm used the stored weight in eval mode.
  @Test func storedWeightIsUsed() throws {
    let resolved = try parts.resolved()
    #expect(resolved["spectral_first.weight_u"] == nil && resolved["spectral_first.weight_orig"] == nil)
    #expect(
      try resolved["spectral_first.weight"]?.sha256() == parts["spectral_first.weight"]?.sha256())
  }

  @Test func othersAreNamed() throws {
    let others = try checkpoint.stateDict(at: "unknown")
    let found = ParametrizedWeights(others.map { ($0.name, $0.tensor) })
    #expect(found.weights.isEmpty)
    #expect(
      found.unknown.map(\.name) == [
        "orthogonal.weight", "custom.weight", "chain.weight", "pruned_norm.weight",
      ])
    #expect(
      found.unknown[0].text.contains("the weight of orthogonal is parametrised in a way that is not known"))
    #expect(found.unknown[0].text.contains("parametrizations.weight.0.base (float32 3×3)"))
    #expect(found.unknown[3].text.contains("weight_g") && found.unknown[3].text.contains("weight_v_mask"))
    #expect(try others.resolved().names == others.names)
  }

  // MARK: Names and shapes

  private static func tensor(_ shape: Int...) throws -> Tensor {
    try Tensor([Float](repeating: 1, count: shape.reduce(1, *)), shape: shape)
  }

  private static func find(_ tensors: KeyValuePairs<String, Tensor>) -> ParametrizedWeights {
    ParametrizedWeights(tensors.map { ($0.key, $0.value) })
  }

  @Test func shapesMustFit() throws {
    let found = Self.find([
      "a.weight_orig": try Self.tensor(2, 3), "a.weight_mask": try Self.tensor(2, 1),
      "b.weight_g": try Self.tensor(2, 3), "b.weight_v": try Self.tensor(2, 3),
      "c.weight_orig": try Self.tensor(2, 3), "c.weight_u": try Self.tensor(4),
      "c.weight_v": try Self.tensor(3),
      "d.parametrizations.weight.original0": try Self.tensor(3, 1),
      "d.parametrizations.weight.original1": try Self.tensor(2, 3),
      "e.weight_orig": try Self.tensor(2, 3), "e.weight_u": try Self.tensor(2),
      "f.weight_g": try Self.tensor(1, 1), "f.weight_v": try Self.tensor(2, 3),
    ])
    #expect(found.weights.isEmpty)
    #expect(found.unknown.map(\.name) == ["a", "b", "c", "d", "e", "f"].map { $0 + ".weight" })
    #expect(found.unknown[0].reason.contains("do not fit each other: weight_orig (float32 2×3)"))
    #expect(found.unknown[4].reason.contains("it is missing"))
  }

  @Test func twoMethodsAtOnceAreNotGuessed() throws {
    let found = Self.find([
      "weight_orig": try Self.tensor(2, 3), "weight_mask": try Self.tensor(2, 3),
      "weight_u": try Self.tensor(2),
      "weight_v": try Self.tensor(3),
    ])
    #expect(found.weights.isEmpty && found.unknown.map(\.name) == ["weight"])
    #expect(
      found.unknown[0].text.hasPrefix("the weight is parametrised in a way that is not known: weight_orig"))
    let both = Self.find([
      "weight_g": try Self.tensor(2, 1), "weight_v": try Self.tensor(2, 3),
      "parametrizations.weight.original0": try Self.tensor(2, 1),
      "parametrizations.weight.original1": try Self.tensor(2, 3),
    ])
    #expect(both.weights.count == 1 && both.unknown.count == 1)
  }

  /// Names alone prove nothing: tensors of other shapes, lone parts, and weights that the file holds stay as they are.
  @Test func otherTensorsStay() throws {
    let found = Self.find([
      "query_g": try Self.tensor(2, 3), "query_v": try Self.tensor(2, 3), "weight_mask": try Self.tensor(3),
      "conv.weight": try Self.tensor(2, 3), "conv.weight_orig": try Self.tensor(2, 3),
      "conv.weight_mask": try Self.tensor(2, 3), "_g": try Self.tensor(1), "_v": try Self.tensor(1),
      "a.parametrizations.b": try Self.tensor(1), "a.parametrizations.b.scale": try Self.tensor(1),
    ])
    #expect(found.isEmpty)
  }

  @Test func integersAreNoWeights() throws {
    let found = Self.find([
      "weight_orig": try Tensor(integers: [1, 2]), "weight_mask": try Tensor(integers: [1, 0]),
    ])
    #expect(found.weights.isEmpty && found.unknown.count == 1)
  }

  /// The weight is where its first part was, and one name can be cut by the keys of a path.
  @Test func pathsAndOrder() throws {
    let (selection, found) = try checkpoint.selection(key: ".").resolved()
    #expect(found.weights.count == 28)
    let names = selection.tensors.map { selection.name(of: $0) }
    #expect(names.first == "parts.pruned.weight")
    #expect(selection.tensors.first?.path == [.text("parts"), .text("pruned.weight")])
    #expect(!names.contains { $0.hasPrefix("parts") && $0.hasSuffix("_mask") })
  }

  // MARK: Distances

  /// Returns the largest distance of two tensors' elements in units in the last place. NaN equals NaN.
  private static func mostULPs(_ a: Tensor, _ b: Tensor) throws -> Int {
    let (x, y) = (try a.elements(as: Double.self), try b.elements(as: Double.self))
    var most = 0
    for (x, y) in zip(x, y) where x != y && !(x.isNaN && y.isNaN) {
      let digits: Int =
        switch a.dtype {
        case .float64: 52
        case .float32: 23
        case .float16: 10
        default: 7
        }
      let ulp = Double(sign: .plus, exponent: Int(max(abs(x), abs(y)).exponent) - digits, significand: 1)
      let distance = (abs(x - y) / ulp).rounded(.up)
      most = max(most, distance.isFinite ? Int(distance) : .max)
    }
    return most
  }
}
