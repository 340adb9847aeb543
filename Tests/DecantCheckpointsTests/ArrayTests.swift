import DecantBytes
import DecantCheckpoints
import DecantTensors
import TestSupport
import Testing

/// Tests that compare NumPy and GGUF fixtures with the contents that NumPy recorded.
@Suite struct ArrayFixtureTests {
  private static let expected = ExpectedTensor.read("arrays/expected.json")

  @Test(arguments: [
    "plain.npy", "column_major.npy", "objects.npy", "text.npy", "stored.npz", "deflated.npz", "tensors.gguf",
    "big_endian.gguf",
  ])
  func everyTensor(_ name: String) throws {
    let checkpoint = try Checkpoint(path: Fixtures.path("arrays/" + name))
    let found = try checkpoint.tensors.map { try ExpectedTensor($0) }
    #expect(found == (try #require(Self.expected[name])))
    try checkpoint.verifyChecksums(of: checkpoint.tensors)
  }

  @Test func whatIsNoTensor() throws {
    let archive = try Checkpoint(path: Fixtures.path("arrays/deflated.npz"))
    let unread = archive.objects.filter { $0.unreadTensor != nil }
    #expect(unread.map(\.name) == ["texts", "objects"])
    #expect(unread.map(\.unreadTensor) == ["numpy <U5", "numpy array of Python objects"])
    #expect(unread.map(\.shape) == [[2], [4]] && unread.map(\.byteCount) == [40, nil])
    #expect(
      archive.warnings == [
        "the array objects holds Python objects, which only executing a pickle can restore; it was not executed"
      ])
    let objects = try Checkpoint(path: Fixtures.path("arrays/objects.npy")).objects
    #expect(objects.suffix(4).map { $0.value?.text } == ["1", "\"two\"", "3.5", "null"])
  }

  @Test func everyKindOfMetadata() throws {
    let objects = try Checkpoint(path: Fixtures.path("arrays/tensors.gguf")).objects
    #expect(
      objects.map { "\($0.name) \($0.type) \($0.value?.text ?? "-") \($0.count.map(String.init) ?? "-")" }
        == [
          "general.architecture string \"resnet\" -", "test.uint8 uint8 255 -", "test.int8 int8 -128 -",
          "test.uint16 uint16 65535 -", "test.int16 int16 -32768 -", "test.uint32 uint32 4294967295 -",
          "test.int32 int32 -2147483648 -", "test.float32 float32 0.5 -", "test.bool bool true -",
          "test.uint64 uint64 \"18446744073709551615\" -", "test.int64 int64 \"-9223372036854775808\" -",
          "test.float64 float64 0.1 -", "test.few.0 int32 1 -", "test.few.1 int32 2 -",
          "test.few.2 int32 3 -",
          "test.words.0 string \"a\" -", "test.words.1 string \"\" -", "test.words.2 string \"ü\" -",
          "test.many array of float32 - 100", "blk.0.weight blocks of 32 elements in 18 bytes - -",
          "blk.1.weight blocks of 32 elements in 34 bytes - -",
        ])
    #expect(objects.suffix(2).map(\.unreadTensor) == ["gguf Q4_0", "gguf Q8_0"])
    #expect(objects.suffix(2).map(\.shape) == [[2, 64], [1, 32]])
    #expect(objects.suffix(2).map(\.byteCount) == [72, 34])
  }

  /// An `.npz` member that is not an array, or has a false header: the error names the archive's entry.
  @Test(
    arguments: [
      ([1, 2, 3], .notACheckpoint, nil),
      (
        Array("\u{93}NUMPY".unicodeScalars.map { UInt8($0.value) }) + [9, 0, 0, 0],
        .unsupportedFormat, 6
      ),
      (
        Array("\u{93}NUMPY".unicodeScalars.map { UInt8($0.value) }) + [1, 0, 200, 0, 0x7B],
        .truncated, nil
      ),
    ] as [([UInt8], DecantError.Code, Int?)])
  func errorsNameTheEntry(_ bytes: [UInt8], _ code: DecantError.Code, _ offset: Int?) throws {
    let folder = try TemporaryFolder()
    let whole = try Fixtures.bytes("arrays/plain.npy")
    let path = try folder.write(
      "f.npz", ZipBuilder([.init("good.npy", whole), .init("bad.npy", bytes)]).bytes)
    do throws(DecantError) {
      _ = try Checkpoint(path: path)
      Issue.record("accepted")
    } catch {
      #expect(
        error.code == code && error.location.entry == "bad.npy" && error.location.offset == offset
          && error.location.file == path)
    }
  }

  /// A file truncated to any length gives a typed error and never a tensor.
  @Test(arguments: ["plain.npy", "objects.npy", "stored.npz", "tensors.gguf", "big_endian.gguf"])
  func everyTruncation(_ name: String) throws {
    let folder = try TemporaryFolder()
    let whole = try Fixtures.bytes("arrays/" + name)
    // The padding after the last tensor may be missing.
    let needed = name.hasSuffix("gguf") ? whole.count - 31 : whole.count
    for count in 1..<needed {
      let path = try folder.write("f", Array(whole[..<count]))
      #expect(throws: DecantError.self, "\(count)") { try Checkpoint(path: path) }
    }
  }

  /// Changing any byte gives a result or a typed error, and never a trap.
  @Test(arguments: [
    "plain.npy", "column_major.npy", "objects.npy", "text.npy", "stored.npz", "deflated.npz", "tensors.gguf",
    "big_endian.gguf",
  ])
  func everyByteChanged(_ name: String) throws {
    let folder = try TemporaryFolder()
    var bytes = try Fixtures.bytes("arrays/" + name)
    var answers = 0
    for place in bytes.indices {
      for change: UInt8 in [0xFF, 0x01, 0x80] {
        bytes[place] ^= change
        defer { bytes[place] ^= change }
        let path = try folder.write("f", bytes)
        do throws(DecantError) {
          let checkpoint = try Checkpoint(path: path)
          for entry in checkpoint.tensors { _ = try? entry.tensor.sha256() }
          answers += 1
        } catch { #expect(!error.reason.isEmpty) }
      }
    }
    #expect(answers > 0)
  }
}
