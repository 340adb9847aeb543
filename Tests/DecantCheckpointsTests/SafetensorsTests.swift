import DecantBytes
import DecantCheckpoints
import DecantConversion
import DecantTensors
import TestSupport
import Testing

/// Refuses deceptive headers: the attacks that the format's own validation rejects.
@Suite struct SafetensorsTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func refusal(_ header: String, data: Int, length: UInt64? = nil) throws -> DecantError.Code? {
    let json = Array(header.utf8)
    let bytes = ZipBuilder.little(length ?? UInt64(json.count)) + json + [UInt8](repeating: 0, count: data)
    let path = try folder.write("f.safetensors", bytes)
    do throws(DecantError) {
      try Checkpoint(path: path).requireIntact()
      return nil
    } catch {
      #expect(error.location.file == path)
      return error.code
    }
  }

  @Test func acceptsScalarsAndEmptyTensors() throws {
    #expect(
      try refusal(
        #"{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[0,3],"data_offsets":[4,4]}}"#,
        data: 4) == nil)
    #expect(try refusal("{}", data: 0) == nil)
    // In a shape with a 0, the other sizes may be too large for any stride.
    #expect(
      try refusal(
        #"{"a":{"dtype":"F32","shape":[0,4611686018427387904,8],"data_offsets":[0,0]}}"#, data: 0)
        == nil)
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
        error.code == .unreadTensors && error.advice == .saveWhole)
    }
  }

  @Test func aDownloadThatBrokeOffIsCounted() throws {
    let header = #"{"a":{"dtype":"F32","shape":[1000],"data_offsets":[0,4000]}}"#
    #expect(
      try refusal(header, data: 100)
        == .truncated)
  }

  @Test(
    arguments: [
      (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 8, .damaged),
      (
        #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8,
        .damaged
      ),
      (
        #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
        12, .deceptive
      ),
      (
        #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4,
        .damaged
      ),
      (
        #"{"a":{"dtype":"F32","shape":[9223372036854775807,9],"data_offsets":[0,4]}}"#, 4,
        .damaged
      ),
      (#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4, .damaged),
      (
        #"{"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}"#, 4,
        .unsupportedFormat
      ),
      (
        #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, 4,
        .damaged
      ),
      (
        #"{"a":{"dtype":"F32","shape":[1]}}"#, 4,
        .damaged
      ),
      (
        #"{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}}"#, 1,
        .damaged
      ),
      (
        #"{"a":{"dtype":"F4","shape":[2,3],"data_offsets":[0,3]}}"#, 3,
        .unsupportedFormat
      ),
      (
        #"{"a":{"dtype":"F6_E3M2","shape":[3],"data_offsets":[0,3]}}"#, 3,
        .damaged
      ),
      (#"{"a":1}"#, 0, .damaged),
      (#"{"__metadata__":{"a":1}}"#, 0, .damaged),
      (
        #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
        4, .damaged
      ),
    ] as [(String, Int, DecantError.Code)])
  func refuses(_ header: String, _ data: Int, _ code: DecantError.Code) throws {
    #expect(try refusal(header, data: data) == code)
  }

  @Test func refusesHeadersThatDoNotFit() throws {
    #expect(try refusal("{}", data: 0, length: 100) == .truncated)
    #expect(try refusal("{}", data: 0, length: 1 << 32) == .limitExceeded)
  }
}
