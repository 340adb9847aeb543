import DecantBytes
import DecantCheckpoints
import DecantTensors
import Foundation
import TestSupport
import Testing

/// Tests that compare ONNX models and Core ML packages with what the onnx package and coremltools say is in them.
@Suite struct ModelTests {
  static let expected = ExpectedTensor.read("models/expected.json")

  private static func open(_ name: String) throws -> Checkpoint {
    try Checkpoint(path: Fixtures.path("models/" + name))
  }

  private static func code(_ body: () throws -> Void) -> DecantError? {
    do {
      try body()
      return nil
    } catch { return error as? DecantError }
  }

  @Test(arguments: ["types.onnx", "external.onnx", "float32.mlpackage", "float16.mlpackage"])
  func everyTensor(_ name: String) throws {
    let checkpoint = try Self.open(name)
    let expected = try #require(Self.expected[name]).map(\.withoutPlace)
    let known = Set(expected.map(\.path))
    let found = try checkpoint.tensors.map { try ExpectedTensor($0).withoutPlace }
    #expect(
      found.filter { known.contains($0.path) }.sorted { $0.path < $1.path }
        == expected.sorted { $0.path < $1.path })
    #expect(checkpoint.container == (name.hasSuffix(".onnx") ? .onnx : .mlpackage))
    #expect(checkpoint.warnings.isEmpty && checkpoint.tensors.allSatisfy { $0.stateDict == [] })
    #expect(
      Set(found.map(\.path)).subtracting(known)
        == (name == "types.onnx" ? ["'FLOAT4E2M1.raw'", "'FLOAT4E2M1.typed'"] : []))
  }

  // MARK: ONNX

  @Test func typesWithoutADType() throws {
    let checkpoint = try Self.open("types.onnx")
    let unread = checkpoint.objects.filter { $0.unreadTensor != nil }.map(\.name)
    #expect(unread.sorted() == ["INT2", "INT4", "UINT2", "UINT4"].flatMap { ["\($0).raw", "\($0).typed"] })
    #expect(checkpoint.objects.first { $0.name == "INT4.raw" }?.byteCount == 6)
    #expect(checkpoint.objects.first { $0.name == "STRING.typed" }?.type == "onnx.STRING")
    let error = Self.code { _ = try checkpoint.stateDict() }
    #expect(error?.code == .unreadTensors)
  }

  @Test func constantsAreFoundWhereverTheyAre() throws {
    let checkpoint = try Self.open("places.onnx")
    func tensor(_ name: String) throws -> CheckpointTensor {
      try #require(checkpoint.tensors.first { $0.name == name }, "\(name)")
    }
    #expect(try tensor("float").tensor.elements(as: Float.self) == [0.25])
    #expect(try tensor("floats").tensor.elements(as: Float.self) == [0.5, -1.5, 2])
    #expect(try tensor("int").tensor.elements(as: Double.self) == [-7])
    #expect(try tensor("ints").tensor.elements(as: Double.self) == [1, -2, 3])
    #expect(try tensor("shape").tensor.elements(as: Double.self) == [0, -1])
    #expect(try tensor("b.value").tensor.elements(as: Float.self) == [9])
    #expect(try tensor("functions.local.f.k").tensor.elements(as: Float.self) == [1, 2])
    #expect(try tensor("y.then_branch.w").tensor.shape == [2, 2])
    #expect(try tensor("conv.weight").tensor.shape == [4, 3, 1, 1])
    var dense = [Float](repeating: 0, count: 20)
    (dense[1], dense[10], dense[19]) = (1.5, -2, 3)
    #expect(try tensor("sparse").tensor.elements(as: Float.self) == dense)
    #expect(try tensor("sparse line").tensor.elements(as: Float.self) == [0, 1.5, 0, 0, 0, -2, 0, 3, 0])
    #expect(checkpoint.objects.first { $0.name == "flat in a square" }?.unreadTensor != nil)
    // Sizes and axes are no weights; what other graphs hold may be.
    for name in ["shape", "int", "ints", "b.value"] { #expect(try tensor(name).stateDict == nil) }
    for name in ["conv.weight", "conv.bias", "float", "floats", "head.weight", "sparse"] {
      #expect(try tensor(name).stateDict == [])
    }
    let error = Self.code { _ = try checkpoint.onlyStateDict() }
    #expect(error?.code == .ambiguousStateDict && error?.reason.contains("y.then_branch.w") == true)
  }

  @Test func whatDescribesTheNetworkIsListed() throws {
    let checkpoint = try Self.open("places.onnx")
    let values = Dictionary(
      checkpoint.objects.map { ($0.name, $0.value?.text ?? "") }, uniquingKeysWith: { first, _ in first })
    #expect(values["ir_version"] == "10" && values["opset_import.ai.onnx"] == "21")
    #expect(values["producer_name"] == "\"fixtures\"" && values["graph"] == "\"places\"")
    #expect(values["inputs.x"] == "\"[batch, 3, ?]\"" && values["inputs.c"] == "\"[]\"")
    #expect(values["inputs.head.weight"] == nil && values["outputs.y"] != nil)
    #expect(values["operators.Constant"] == "9" && values["operators.Identity"] == "2")
    #expect(checkpoint.containerMetadata.map(\.label) == ["author", "classes"])
  }

  /// The numbers of a typed field are decoded alike in any order of reading.
  @Test func partsOfATypedField() throws {
    for entry in try Self.open("types.onnx").tensors where entry.name.hasSuffix(".typed") {
      let content = try #require(entry.tensor.storage.content)
      let whole = try entry.tensor.rowMajorBytes()
      for count in [1, 3, 8, whole.count] where count <= whole.count {
        for start in stride(from: whole.count - count, through: 0, by: -5) + [0, 1, whole.count - count] {
          guard start <= whole.count - count else { continue }
          let bytes = try unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            try unsafe content.read(into: UnsafeMutableRawBufferPointer(buffer), at: start)
            initialized = count
          }
          #expect(bytes == Array(whole[start..<start + count]), "\(entry.name) at \(start)")
        }
      }
    }
  }

  /// The file of data is found by its name only inside the model's folder, and must have all of the data.
  @Test func externalDataStaysInTheFolder() throws {
    let folder = try TemporaryFolder()
    let model = try Fixtures.bytes("models/external.onnx")
    let data = try Fixtures.bytes("models/external.onnx.data")
    let path = try folder.write("external.onnx", model)
    let missing = Self.code { _ = try Checkpoint(path: path) }
    #expect(missing?.code == .partMissing && missing?.location.file?.hasSuffix("external.onnx.data") == true)
    _ = try folder.write("external.onnx.data", Array(data.dropLast()))
    #expect(Self.code { _ = try Checkpoint(path: path) }?.code == .truncated)
    _ = try folder.write("external.onnx.data", data)
    #expect(try Checkpoint(path: path).tensors.count == 3)
    func patched(_ text: String, _ other: String) -> [UInt8] {
      precondition(text.utf8.count == other.utf8.count)
      var bytes = model
      while let range = bytes.firstRange(of: Array(text.utf8)) {
        bytes.replaceSubrange(range, with: Array(other.utf8))
      }
      return bytes
    }
    for name in ["../external.onnx.d", "/etc/hostname/////", "a/../../../../../."] {
      let path = try folder.write("hostile.onnx", patched("external.onnx.data", name))
      #expect(Self.code { _ = try Checkpoint(path: path) }?.code == .deceptive, "\(name)")
    }
    let wrong = try folder.write("wrong.onnx", patched("160", "161"))
    #expect(Self.code { _ = try Checkpoint(path: wrong) }?.code == .damaged)
    let memory = Self.code { _ = try Checkpoint(model) }
    #expect(memory?.code == .partMissing)
  }

  /// Returns the bytes of a field with bytes.
  private static func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] {
    precondition(number < 16 && bytes.count < 128)
    return [number << 3 | 2, UInt8(bytes.count)] + bytes
  }

  /// Returns a model with one initialiser, named `w`, of these fields.
  private static func model(_ tensor: [UInt8]) -> [UInt8] {
    let initializer = field(5, tensor + field(8, Array("w".utf8)))
    return [8, 8] + field(2, Array("test".utf8)) + field(7, initializer) + field(8, [0x10, 17])
  }

  /// Every size is checked against the bytes that are there before anything is allocated.
  @Test(
    arguments: [
      (
        "a shape larger than the data", [8, 0xFF, 0xFF, 0xFF, 0x7F, 0x10, 1] + [0x4A, 4, 0, 0, 0, 0], .damaged
      ),
      ("a negative size", [8, 0xFE] + [UInt8](repeating: 0xFF, count: 8) + [1, 0x10, 1, 0x4A, 0], .damaged),
      ("no data", [8, 2, 0x10, 1], .damaged),
      ("numbers of another type", [8, 1, 0x10, 1, 0x2A, 1, 5], .damaged),
      ("data twice", [8, 1, 0x10, 1, 0x22, 4, 0, 0, 0, 0, 0x4A, 4, 0, 0, 0, 0], .deceptive),
      ("half a float", [8, 1, 0x10, 1, 0x22, 2, 0, 0], .damaged),
      ("too few varints", [8, 3, 0x10, 7, 0x3A, 2, 1, 2], .damaged),
      ("a varint without an end", [8, 1, 0x10, 7, 0x3A, 1, 0x80], .damaged),
      ("external data without a name", [8, 1, 0x10, 1, 0x70, 1], .damaged),
    ] as [(String, [UInt8], DecantError.Code)])
  func hostileTensors(_ name: String, _ tensor: [UInt8], _ code: DecantError.Code) {
    let error = Self.code { _ = try Checkpoint(Self.model(tensor)) }
    #expect(error?.code == code, "\(name): \(String(describing: error))")
  }

  @Test func theSameNameTwice() {
    let tensor = Self.field(5, [8, 1, 0x10, 1, 0x4A, 4, 0, 0, 0, 0] + Self.field(8, Array("w".utf8)))
    let model = [8, 8] + Self.field(2, Array("test".utf8)) + Self.field(7, tensor + tensor)
    #expect(Self.code { _ = try Checkpoint(model + Self.field(8, [0x10, 17])) }?.code == .deceptive)
  }

  /// Unpacked numbers, which protobuf's readers accept, are those of the packed field.
  @Test func unpackedNumbers() throws {
    let floats = [8, 2, 0x10, 1, 0x25, 0, 0, 0x80, 0x3F, 0x25, 0, 0, 0, 0x40] as [UInt8]
    let integers = [8, 3, 0x10, 7, 0x38, 1, 0x38, 0xAC, 2, 0x3A, 1, 9] as [UInt8]
    #expect(try Checkpoint(Self.model(floats)).tensors[0].tensor.elements(as: Float.self) == [1, 2])
    #expect(try Checkpoint(Self.model(integers)).tensors[0].tensor.elements(as: Double.self) == [1, 300, 9])
  }

  @Test(arguments: ["types.onnx", "places.onnx", "float16.mlpackage/Data/com.apple.CoreML/model.mlmodel"])
  func everyCutIsATypedError(_ name: String) throws {
    let bytes = try Fixtures.bytes("models/" + name)
    for count in stride(from: 0, to: bytes.count, by: 11) {
      guard let error = Self.code({ _ = try Checkpoint(Array(bytes[..<count])) }) else { continue }
      #expect(
        [.truncated, .damaged, .notACheckpoint, .partMissing, .unsupportedFormat].contains(error.code),
        "\(count): \(error)")
    }
  }

  // MARK: Core ML

  /// Copies a package into a folder.
  private static func copy(_ folder: TemporaryFolder) throws -> String {
    let path = folder.path("copy.mlpackage")
    try? FileManager.default.removeItem(atPath: path)
    try FileManager.default.copyItem(atPath: Fixtures.path("models/float32.mlpackage"), toPath: path)
    return path
  }

  @Test func theInterfaceOfAPackage() throws {
    let checkpoint = try Self.open("float32.mlpackage")
    let values = Dictionary(
      checkpoint.objects.map { ($0.name, "\($0.type) \($0.value?.text ?? "")") },
      uniquingKeysWith: { first, _ in first })
    #expect(values["specification_version"] == "int 6")
    #expect(values["inputs.images"] == "multi-array float32 \"[1, 3, 8, 8]\"")
    #expect(values["operators.conv"] == "int 1" && values["operators.const"] == "int 11")
    #expect(checkpoint.containerMetadata.contains { $0.label == "author" && $0.text == "fixtures" })
    // The head's only bias is in the program, not in the file of weights.
    #expect(checkpoint.tensors.contains { $0.name == "fc_bias" && $0.tensor.shape == [1] })
  }

  /// The specification in the package is the same checkpoint.
  @Test func theModelInsideAPackage() throws {
    let inner = try Self.open("float32.mlpackage/Data/com.apple.CoreML/model.mlmodel")
    #expect(inner.tensors.map(\.name) == (try Self.open("float32.mlpackage").tensors.map(\.name)))
  }

  @Test func damagedPackages() throws {
    let folder = try TemporaryFolder()
    let weights = "Data/com.apple.CoreML/weights/weight.bin"
    func failure(_ file: String, _ change: (inout [UInt8]) -> Void) throws -> DecantError? {
      let path = try Self.copy(folder)
      let url = URL(filePath: path + "/" + file)
      var bytes = [UInt8](try Data(contentsOf: url))
      change(&bytes)
      try Data(bytes).write(to: url)
      return Self.code { _ = try Checkpoint(path: path) }
    }
    #expect(try failure(weights) { $0[64] = 0 }?.code == .damaged)
    #expect(try failure(weights) { $0[68] = 1 }?.code == .damaged)
    #expect(try failure(weights) { $0[4] = 1 }?.code == .unsupportedFormat)
    #expect(try failure(weights) { $0[79] = 0x7F }?.code == .truncated)
    #expect(try failure(weights) { $0 = Array($0.dropLast(60)) }?.code == .truncated)
    #expect(try failure(weights) { $0[0] += 1 } == nil)
    #expect(try Checkpoint(path: folder.path("copy.mlpackage")).warnings.count == 1)
    #expect(try failure("Manifest.json") { $0 = Array("{}".utf8) }?.code == .damaged)
    #expect(
      try failure("Manifest.json") { bytes in
        let text = String(decoding: bytes, as: UTF8.self)
        bytes = Array(text.replacing("com.apple.CoreML/model.mlmodel", with: "../../../x").utf8)
      }?.code == .deceptive)
    #expect(
      try failure("Data/com.apple.CoreML/model.mlmodel") { bytes in
        let names = [Array("weights/weight.bin".utf8), Array("../weights/../w.bin".utf8.prefix(18))]
        while let range = bytes.firstRange(of: names[0]) { bytes.replaceSubrange(range, with: names[1]) }
      }?.code == .deceptive)
    let path = try Self.copy(folder)
    try FileManager.default.removeItem(atPath: path + "/" + weights)
    #expect(Self.code { _ = try Checkpoint(path: path) }?.code == .partMissing)
  }

  @Test func modelsBeforeMLPrograms() {
    let error = Self.code { _ = try Self.open("network.mlmodel") }
    #expect(error?.code == .unsupportedFormat && error?.reason.contains("neuralNetwork") == true)
  }
}
