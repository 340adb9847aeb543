import ByteParsing
import Checkpoints
import Tensors
import TestSupport
import Testing

/// Headers that lie: the attacks that the format's own validation rejects.
@Suite struct SafetensorsTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func refusal(_ header: String, data: Int, length: UInt64? = nil) throws -> String {
    let json = Array(header.utf8)
    let bytes = ZipBuilder.little(length ?? UInt64(json.count)) + json + [UInt8](repeating: 0, count: data)
    let path = try folder.write("f.safetensors", bytes)
    do throws(DecantError) {
      try Checkpoint(path: path).requireIntact()
      return "accepted"
    } catch { return error.reason }
  }

  @Test func acceptsScalarsAndEmptyTensors() throws {
    #expect(
      try refusal(
        #"{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[0,3],"data_offsets":[4,4]}}"#,
        data: 4) == "accepted")
    #expect(try refusal("{}", data: 0) == "accepted")
    // Sizes beside a 0 may be so large that no stride fits.
    #expect(
      try refusal(
        #"{"a":{"dtype":"F32","shape":[0,4611686018427387904,8],"data_offsets":[0,0]}}"#, data: 0)
        == "accepted")
  }

  @Test func fourBitFloatsAreCountedInPairs() throws {
    let json = Array(#"{"a":{"dtype":"F4","shape":[3,4],"data_offsets":[0,6]}}"#.utf8)
    let path = try folder.write(
      "f.safetensors", ZipBuilder.little(UInt64(json.count)) + json + [1, 2, 3, 4, 5, 6])
    let tensor = try #require(try Checkpoint(path: path).tensors.first?.tensor)
    #expect(tensor.dtype == .float4_e2m1fn_x2 && tensor.shape == [3, 2] && tensor.byteCount == 6)
    try SafetensorsFile.write([(name: "a", tensor: tensor)], to: folder.path("w.safetensors"))
    let written = try Checkpoint(path: folder.path("w.safetensors"))
    #expect(written.tensors.map(\.tensor.shape) == [[3, 2]])
    #expect(try written.tensors.map { try $0.tensor.sha256() } == [try tensor.sha256()])
  }

  @Test func sixBitFloatsAreListedAndNotRead() throws {
    let json = Array(#"{"a":{"dtype":"F6_E2M3","shape":[2,2],"data_offsets":[0,3]}}"#.utf8)
    let path = try folder.write("f.safetensors", ZipBuilder.little(UInt64(json.count)) + json + [1, 2, 3])
    let checkpoint = try Checkpoint(path: path)
    #expect(checkpoint.tensors.isEmpty)
    #expect(checkpoint.objects.map(\.unreadTensor) == ["F6_E2M3, which PyTorch has not"])
    #expect(checkpoint.objects.map(\.shape) == [[2, 2]] && checkpoint.objects.map(\.byteCount) == [3])
    do {
      _ = try checkpoint.convert(to: folder.path("w.safetensors"))
      Issue.record("converted")
    } catch let error as DecantError {
      #expect(
        error.reason
          == "holds tensors of kinds that are not converted: a (F6_E2M3, which PyTorch has not)")
    }
  }

  @Test func aDownloadThatBrokeOffIsCounted() throws {
    let header = #"{"a":{"dtype":"F32","shape":[1000],"data_offsets":[0,4000]}}"#
    #expect(
      try refusal(header, data: 100)
        == "is cut short: it has \(8 + header.utf8.count + 100) of \(8 + header.utf8.count + 4000) bytes; 0 of 1 tensors are whole"
    )
  }

  @Test(arguments: [
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 8, "4 bytes at the end belong to no tensor"),
    (
      #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8,
      "4 bytes before the tensor's data belong to none"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
      12, "the tensor's data overlaps another's"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4,
      "the shape needs 8 bytes and the data_offsets give 4"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[9223372036854775807,9],"data_offsets":[0,4]}}"#, 4,
      "the shape is negative or too large"
    ),
    (#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4, "the shape is negative or too large"),
    (
      #"{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}"#, 4,
      "the element type F99 is none that PyTorch has"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, 4,
      "the data_offsets [4, 0] run backwards"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[1]}}"#, 4,
      "the header does not give the tensor's dtype, shape and data_offsets"
    ),
    (
      #"{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}"#, 1,
      "the tensor has 12 bits, which do not end on a byte"
    ),
    (
      #"{"a":{"dtype":"F4","shape":[2,3],"data_offsets":[0,3]}}"#, 3,
      "the last size of an F4 tensor is odd, and PyTorch keeps its elements in pairs"
    ),
    (
      #"{"a":{"dtype":"F6_E3M2","shape":[3],"data_offsets":[0,3]}}"#, 3,
      "the tensor has 18 bits, which do not end on a byte"
    ),
    (#"{"a":1}"#, 0, "the header does not give the tensor's dtype, shape and data_offsets"),
    (#"{"__metadata__":{"a":1}}"#, 0, "the header's __metadata__ holds something that is no text"),
    (
      #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
      4, "the header is no JSON: the key \"a\" stands twice"
    ),
  ])
  func refuses(_ header: String, _ data: Int, _ reason: String) throws {
    #expect(try refusal(header, data: data) == reason)
  }

  @Test func refusesHeadersThatDoNotFit() throws {
    #expect(try refusal("{}", data: 0, length: 100) == "the header has 100 bytes and only 2 follow")
    #expect(try refusal("{}", data: 0, length: 1 << 32).contains("more than the format allows"))
  }
}
