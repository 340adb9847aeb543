import DecantBytes
import DecantGraphs
import DecantResNets
import DecantTensors
import Foundation
import TestSupport
import Testing

/// Tests that seeded weights and images have the bits of `fixtures/synthesis.py`, which printed the expected values.
@Suite struct SynthesisTests {
  @Test func hashesAreThoseOfPython() {
    let hash = CounterHash(seed: 7, name: "conv1.weight")
    #expect(
      (0..<3).map { hash.bits($0) } == [0x6b5d_cf5e_8dcb_c740, 0xc138_6f6c_46eb_406d, 0xddd4_5da8_db68_68b9])
    #expect((0..<3).map { hash.unit($0) } == [-0x1.4a231p-3, 0x1.04e1bcp-1, 0x1.775174p-1])
  }

  /// Compares names, shapes, order and every value: the SHA-256 over the entries' bytes equals that over PyTorch's.
  @Test(arguments: ["resnet18", "resnet50", "resnext50_32x4d", "resnet50nodown"])
  func weightsAreThoseOfPython(_ name: String) throws {
    let table = String(decoding: try Fixtures.bytes("goldens/weights.tsv"), as: UTF8.self)
    let row = try #require(table.split(separator: "\n").first { $0.hasPrefix(name + "\t") }).split(
      separator: "\t")
    let graph = try #require(ResNetArchitecture.named(name)).configuration.graph()
    let weights = try SyntheticWeights.stateDict(graph, seed: 7)
    #expect(String(weights.count) == row[1])
    let digest = try SHA256()
    for entry in weights.entries {
      try entry.tensor.readRowMajor { digest.update(UnsafeRawBufferPointer($0)) }
    }
    #expect(digest.finish() == row[3])
  }

  @Test func anyPartOfAWeightReadsAlone() throws {
    var configuration = ResNetConfiguration(block: .basic, layers: [1], planes: [8])
    configuration.stem = .single(kernel: 7, channels: 8)
    let weights = try SyntheticWeights.stateDict(try configuration.graph(), seed: 3)
    let content = try #require(weights["conv1.weight"]?.storage.content)
    let whole = try read(content, 0, content.byteCount)
    for (offset, count) in [
      (0, 0), (0, 1), (1, 2), (1, 3), (3, 1), (2, 9), (4, 8), (7, 101), (content.byteCount, 0),
    ] {
      #expect(try read(content, offset, count) == Array(whole[offset..<offset + count]))
    }
    #expect(throws: DecantError.self) { try read(content, content.byteCount, 1) }
    #expect(throws: DecantError.self) { try read(content, -1, 1) }
    #expect(throws: DecantError.self) { try read(content, Int.max, 1) }
  }

  @Test func imagesAreThoseOfPython() throws {
    for (name, height, width) in [("input_97x131", 97, 131), ("input_224", 224, 224)] {
      let file = try Fixtures.bytes("inputs/\(name).npy")
      let values = try SyntheticImage.values(seed: 7, height: height, width: width)
      // A .npy file ends with its data.
      #expect(values.withUnsafeBytes { file.suffix($0.count).elementsEqual($0) })
    }
    let both = try SyntheticImage.values(seed: 7, first: 3, count: 2, height: 41, width: 37)
    let digest = try SHA256()
    both.withUnsafeBytes { digest.update($0) }
    #expect(digest.finish() == "b7b8300af09fefdd9873081e5c5cf8655f8bb941cc3dc7f1062e989a9b52e7ab")
    let second = try SyntheticImage.values(seed: 7, first: 4, height: 41, width: 37)
    #expect(Array(both.suffix(second.count)) == second)
  }

  @Test func impossibleImagesAreRefused() {
    for (first, count, height, width) in [
      (0, 1, 0, 5), (-1, 1, 5, 5), (Int.max, 1, 5, 5), (0, Int.max, 5, 5), (0, 1, Int.max, Int.max),
      (0, 0, 1, 1),
    ] {
      #expect {
        try SyntheticImage.values(seed: 1, first: first, count: count, height: height, width: width)
      } throws: {
        ($0 as? DecantError)?.code == .invalidArgument
      }
    }
  }

  private func read(_ content: any StorageContent, _ offset: Int, _ count: Int) throws -> [UInt8] {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(count, 1), alignment: 1)
    defer { buffer.deallocate() }
    try content.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[0..<count]), at: offset)
    return Array(buffer[0..<count])
  }
}
