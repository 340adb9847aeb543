import Checkpoints
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
    do throws(CheckpointError) {
      _ = try Checkpoint(path: path)
      return "accepted"
    } catch { return error.reason }
  }

  @Test func acceptsScalarsAndEmptyTensors() throws {
    #expect(
      try refusal(
        #"{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[0,3],"data_offsets":[4,4]}}"#,
        data: 4) == "accepted")
    #expect(try refusal("{}", data: 0) == "accepted")
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
      "the data_offsets [4, 0] leave the 4 bytes of data"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[1]}}"#, 4,
      "the header does not give the tensor's dtype, shape and data_offsets"
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
