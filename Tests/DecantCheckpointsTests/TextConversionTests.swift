import DecantBytes
import DecantCheckpoints
import Foundation
import TestSupport
import Testing

/// Binary files that a program treated as text are named as such.
@Suite struct TextConversionTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func error(_ bytes: [UInt8]) throws -> DecantError? {
    let path = try folder.write("f", bytes)
    return #expect(throws: DecantError.self) { try Checkpoint(path: path).requireIntact() }
  }

  private static let files = [
    "arrays/tensors.gguf", "torch/nested.pth", "torch/legacy.pth", "torch/deflated.pth", "arrays/plain.npy",
  ]

  @Test(arguments: files)
  func decodedWithReplacements(_ name: String) throws {
    let text = String(decoding: try Fixtures.bytes(name), as: UTF8.self)
    let error = try error(Array(text.utf8))
    #expect(error?.code == .damaged && error?.reason.contains("became U+FFFD") == true)
    #expect(error?.remedy == "Download the file again in binary mode.")
  }

  /// A count with U+FFFD in it is too large for every limit, and no limit is to be raised for it.
  @Test func aCountWithReplacements() throws {
    func integer(_ value: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
    let bytes =
      Array("GGUF".utf8) + [3, 0, 0, 0] + integer(1) + integer(0) + integer(1) + Array("a\u{FFFD}A".utf8)
      + [UInt8](repeating: 0, count: 64)
    #expect(try error(bytes)?.reason.contains("became U+FFFD") == true)
  }

  @Test(arguments: ["arrays/tensors.gguf", "torch/nested.pth", "torch/legacy.pth", "torch/deflated.pth"])
  func decodedAsLatin1(_ name: String) throws {
    let text = String(String.UnicodeScalarView(try Fixtures.bytes(name).map { Unicode.Scalar($0) }))
    #expect(try error(Array(text.utf8))?.reason.contains("Latin-1") == true)
  }

  @Test(arguments: ["arrays/tensors.gguf", "torch/nested.pth", "torch/legacy.pth"])
  func writtenInTextMode(_ name: String) throws {
    let bytes = try Fixtures.bytes(name).flatMap { $0 == 0x0A ? [0x0D, 0x0A] : [$0] }
    #expect(try error(bytes)?.reason.contains("carriage return") == true)
  }

  /// Text with U+FFFD is text, and an ordinary damaged file is not called text.
  @Test func otherFilesAreNotCalledConverted() throws {
    #expect(try error(Array("a\r\nb\r\n\u{FFFD}".utf8))?.code == .notACheckpoint)
    let whole = try Fixtures.bytes("arrays/tensors.gguf")
    #expect(try error(Array(whole.dropLast(40)))?.reason.contains("text") == false)
  }

  /// NumPy reads one pickle and ignores what follows.
  @Test(arguments: [[0x0A], [0x0D, 0x0A], Array(repeating: 0, count: 40)] as [[UInt8]])
  func bytesAfterAnArrayOfObjects(_ rest: [UInt8]) throws {
    let path = try folder.write("o.npy", try Fixtures.bytes("arrays/objects.npy") + rest)
    let (plain, found) = (
      try Checkpoint(path: Fixtures.path("arrays/objects.npy")), try Checkpoint(path: path)
    )
    #expect(found.objects.map(\.name) == plain.objects.map(\.name))
    let words =
      rest.count == 1
      ? "1 byte after the pickle of the array was" : "\(rest.count) bytes after the pickle of the array were"
    #expect(found.warnings == ["\(words) skipped, as NumPy does"] + plain.warnings)
  }

  @Test(arguments: [
    "arrays/tensors.gguf", "arrays/plain.npy", "arrays/stored.npz", "torch/weights.safetensors",
  ])
  func filesWithoutAPickle(_ name: String) throws {
    let error = #expect(throws: DecantError.self) { try Checkpoint.pickleStreams(path: Fixtures.path(name)) }
    #expect(error?.code == .invalidArgument && error?.reason.hasSuffix("so it has no pickle") == true)
    #expect(error?.advice == .inspect)
  }

  /// The length of a safetensors header may look like a pickle of None.
  @Test func aHeaderThatLooksLikeAPickle() throws {
    let header = Array("{\"__metadata__\":{\"a\":\"".utf8)
    let filler = [UInt8](repeating: 0x78, count: 0x2E4E - header.count - 3)
    let bytes = ZipBuilder.little(UInt64(0x2E4E)) + header + filler + Array("\"}}".utf8)
    let path = try folder.write("n.safetensors", bytes)
    #expect(try Checkpoint(path: path).tensors.isEmpty)
    #expect(throws: DecantError.self) { try Checkpoint.pickleStreams(path: path) }
  }
}
