import DecantBytes
import DecantCheckpoints
import DecantReports
import DecantTensors
import TestSupport
import Testing

@Suite struct SurveyTests {
  @Test func countsAndMeasures() throws {
    let values: [Float] = [-1, 0, 0, 2, .nan, .infinity, -.infinity, 3]
    let survey = try TensorSurvey(Tensor(values, shape: [8]))
    #expect(survey.nanCount == 1 && survey.infinityCount == 2 && survey.zeroCount == 2)
    #expect(survey.least == -1 && survey.greatest == 3 && survey.mean == 0.8)
    // The mean of the squared distances of −1, 0, 0, 2 and 3 from 0.8 is 2.16.
    #expect(abs(try #require(survey.deviation) - 2.16.squareRoot()) < 1e-12)
    #expect(survey.histogram.reduce(0, +) == 5)
    #expect(survey.histogram.first == 1 && survey.histogram.last == 1 && survey.histogram[6] == 2)
    #expect(survey.histogram.count == TensorSurvey.binCount)
    #expect(survey.zeroChannels.isEmpty)
  }

  @Test func equalValuesHaveNoHistogram() throws {
    let survey = try TensorSurvey(Tensor([Float](repeating: 7, count: 5), shape: [5]))
    #expect(survey.least == 7 && survey.greatest == 7 && survey.deviation == 0 && survey.histogram.isEmpty)
  }

  @Test func emptyAndNonFiniteTensors() throws {
    let empty = try TensorSurvey(Tensor([Float](), shape: [0, 3]))
    #expect(empty.least == nil && empty.zeroChannels.isEmpty)
    let odd = try TensorSurvey(Tensor([Float.nan, .nan], shape: [2]))
    #expect(odd.nanCount == 2 && odd.mean == nil && odd.histogram.isEmpty)
  }

  /// The range of float64 does not fit into a float64.
  @Test func widestRange() throws {
    let most = Double.greatestFiniteMagnitude
    let survey = try TensorSurvey(Tensor([-most, most], shape: [2]))
    #expect(survey.histogram.first == 1 && survey.histogram.last == 1)
  }

  /// Channels are found whatever the size of the pieces in which a tensor is read.
  @Test(arguments: [1, 3, 1_000, 30_000]) func zeroChannels(size: Int) throws {
    let zeros = [0, 2, 5, 6]
    let values = (0..<7).flatMap { channel in
      (0..<size).map { zeros.contains(channel) || $0 != size - 1 ? Float(0) : 1 }
    }
    #expect(try TensorSurvey(Tensor(values, shape: [7, size])).zeroChannels == zeros)
    #expect(try TensorSurvey(Tensor(values, shape: [7 * size])).zeroChannels.isEmpty)
  }

  // MARK: The map of the bytes

  private static let files = [".pth", ".pkl", ".safetensors"].flatMap { suffix in
    Fixtures.names(in: "torch", endingIn: suffix).map { "torch/" + $0 }
  }

  private func map(_ name: String) throws -> ByteMap {
    let checkpoint = try Checkpoint(path: Fixtures.path(name))
    return ByteMap(checkpoint, groups: ["all"]) { _ in 0 }
  }

  /// The parts of a file follow each other from its first byte to its last.
  @Test(arguments: files) func partsCoverTheFile(name: String) throws {
    guard let map = try? map(name) else { return }
    for file in map.files {
      #expect(file.byteCount == (try Fixtures.bytes(name)).count)
      var reached = 0
      for part in file.parts {
        #expect(part.range.lowerBound == reached && !part.range.isEmpty)
        reached = part.range.upperBound
      }
      #expect(reached == file.byteCount)
    }
  }

  /// The data of every tensor of a plain file is on the map.
  @Test func dataOfTensors() throws {
    let map = try map("torch/small_basic.pth")
    let checkpoint = try Checkpoint(path: Fixtures.path("torch/small_basic.pth"))
    let bytes = checkpoint.tensors.map(\.tensor.byteCount).reduce(0, +)
    #expect(map.byteCount(.tensors(group: 0)) == bytes && map.byteCount(.unused) == 0)
    #expect(map.waste.isEmpty && map.aliases.isEmpty && map.unplacedCount == 0)
    #expect(map.files[0].parts.contains { $0.use == .structure && $0.name.hasSuffix("data.pkl") })
  }

  @Test func sharedBytes() throws {
    let map = try map("torch/shared_storages.pth")
    #expect(map.aliases.map(\.first) == ["encoder.weight", "first"])
    #expect(map.aliases.map(\.others) == [["decoder.weight", "decoder.weight_t"], ["second", "overlap"]])
  }

  /// A view keeps its whole storage in the file.
  @Test func unusedBytes() throws {
    let map = try map("torch/views.pth")
    let waste = map.waste.map(\.unusedByteCount).reduce(0, +)
    #expect(waste > 0 && waste == map.byteCount(.unused))
    #expect(map.waste.allSatisfy { $0.unusedByteCount <= $0.byteCount && $0.tensor != nil })
  }
}
