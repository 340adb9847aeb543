import DecantBytes
import TestSupport
import Testing
@testable import DecantCheckpoints

/// Keys that listings and messages print can be passed back.
@Suite struct CheckpointKeyTests {
  private func open(_ make: (inout TorchFile) -> TorchFile.Value) throws -> Checkpoint {
    var file = TorchFile()
    let root = make(&file)
    return try Checkpoint(file.bytes(root))
  }

  private func number(_ code: String, _ bytes: [UInt8]) -> TorchFile.Value {
    .call(.global("numpy._core.multiarray", "scalar"), [.numpyType(code), .bytes(bytes)])
  }

  @Test func everyKeyIsFoundAgain() throws {
    let names = ["model", "new\nline", "", "--x", ".", "a b", "back\\slash", "\u{202E}", "0"]
    let checkpoint = try open { file in
      .dictionary(
        names.map { (.text($0), .mapping(["w": file.tensor([2, 2])])) } + [
          (.text("o.p"), .mapping(["w": file.tensor([2, 2])])),
          (.text("o"), .mapping(["p": .mapping(["w": file.tensor([2, 2])])])),
          (.int(0), .mapping(["w": file.tensor([2, 2])])),
        ])
    }
    let paths = checkpoint.stateDictCandidates.map(\.path)
    #expect(paths.count == names.count + 3)
    for (path, key) in zip(paths, checkpoint.keys(of: paths)) {
      #expect(checkpoint.path(ofKey: key) == path, "\(key)")
      #expect(checkpoint.path(ofKey: key.escapedForDisplay) == path, "\(key)")
    }
    let keys = Set(checkpoint.keys(of: paths))
    #expect(keys.count == paths.count)
    #expect(keys.isSuperset(of: ["model", "o.p", #"["o", "p"]"#, "0", "[0]", #"["."]"#]))
  }

  @Test func aLiteralKeyWins() throws {
    let checkpoint = try open { file in
      .mapping(["a": .mapping(["b": file.tensor([1])]), "a.b": file.tensor([2]), #"n\n"#: file.tensor([3])])
    }
    #expect(checkpoint.path(ofKey: "a.b") == [.text("a.b")])
    #expect(checkpoint.path(ofKey: #"["a", "b"]"#) == [.text("a"), .text("b")])
    #expect(checkpoint.path(ofKey: #"n\n"#) == [.text(#"n\n"#)])
    #expect(checkpoint.path(ofKey: "c") == nil && checkpoint.path(ofKey: "[") == nil)
  }

  /// NumPy's numbers and texts as keys are those of Python.
  @Test func numpyKeys() throws {
    let checkpoint = try open { file in
      .dictionary([
        (number("i8", [3, 0, 0, 0, 0, 0, 0, 0]), file.tensor([1])),
        (number("i2", [0xFE, 0xFF]), file.tensor([1])),
        (number("u1", [200]), file.tensor([1])), (number("b1", [1]), file.tensor([1])),
        (number("f8", [0, 0, 0, 0, 0, 0, 4, 0x40]), file.tensor([1])),
        (number("U2", [0x61, 0, 0, 0, 0, 0, 0, 0]), file.tensor([1])),
        (.tuple([number("i4", [7, 0, 0, 0]), .int(1)]), file.tensor([1])),
      ])
    }
    #expect(
      checkpoint.tensors.map(\.path) == [
        [.integer(3)], [.integer(-2)], [.integer(200)], [.other("True")], [.other("2.5")], [.text("a")],
        [.other("(7, 1)")],
      ])
  }
}
