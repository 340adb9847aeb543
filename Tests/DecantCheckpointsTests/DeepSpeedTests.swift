import DecantBytes
import DecantCheckpoints
import DecantTensors
import Foundation
import TestSupport
import Testing

/// Joins the files of DeepSpeed's ZeRO, in the layouts of its stages, and refuses those that do not fit.
///
/// Tests/Peers/test_deepspeed.py joins files that DeepSpeed wrote.
@Suite struct DeepSpeedTests {
  typealias Value = TorchFile.Value

  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// The files of a checkpoint of two ranks. Parameter `a` has 3×2 elements and `b` 3: 9 in stages 1 and 2, padded to
  /// 12. In stage 3 each rank has 3 of `a` and 2 of `b`.
  private struct Files {
    var stage = 2
    var shapes: [(String, [Int])] = [("a", [3, 2]), ("b", [3])]
    /// The elements of each rank's partition, by rank.
    var partitions: [[Float]] = [[0, 1, 2, 3, 4, 5], [6, 7, 8, 0, 0, 0]]
    var partitionCount: Value = .int(2)
    var isEnumeration = true
    var rankCount = 2
    var shared: KeyValuePairs<String, Value> = ["tied": .text("a")]
    var prefix = ""

    static var third: Files {
      var files = Files()
      files.stage = 3
      files.partitions = [[0, 1, 2, 6, 7], [3, 4, 5, 8, 0]]
      return files
    }

    func write(to folder: TemporaryFolder, _ place: String = "global_step1") throws {
      try FileManager.default.createDirectory(
        atPath: folder.path(place), withIntermediateDirectories: true)
      for rank in 0..<(stage == 3 ? rankCount : 1) {
        var file = TorchFile()
        let shapes = Value.dictionary(shapes.map { (.text($0.0), .shape($0.1)) })
        let root = Value.mapping([
          "module": .mapping(["a": file.tensor(stage == 3 ? [0] : [3, 2]), "buffer": file.tensor([2])]),
          "buffer_names": .list([.text("buffer")]), "param_shapes": .list([shapes]),
          "shared_params": .mapping(shared), "ds_version": .text("0.19.8"), "global_steps": .int(1),
        ])
        let name = stage == 3 ? "zero_pp_rank_\(rank)_mp_rank_00" : "mp_rank_00"
        _ = try folder.write("\(place)/\(name)_model_states.pt", file.bytes(root))
      }
      for rank in 0..<rankCount {
        var file = TorchFile()
        let number = Value.int(Int64(stage))
        let group = file.tensor(elements: partitions[rank])
        let state: Value
        if stage == 3 {
          state = .mapping([
            "zero_stage": number, "partition_count": partitionCount, "fp32_flat_groups": .list([group]),
          ])
        } else {
          state = .mapping([
            "zero_stage": isEnumeration
              ? .call(.global("deepspeed.runtime.zero.config", "ZeroStageEnum"), [number]) : number,
            "partition_count": partitionCount, "single_partition_of_fp32_groups": .list([group]),
          ])
        }
        _ = try folder.write(
          "\(place)/\(prefix)zero_pp_rank_\(rank)_mp_rank_00_optim_states.pt",
          file.bytes(.mapping(["optimizer_state_dict": state])))
      }
    }
  }

  private func refusal(_ files: Files) throws -> DecantError? {
    let place = "step\(Int.random(in: 0..<1 << 40))"
    try files.write(to: folder, place)
    return #expect(throws: DecantError.self) { try Checkpoint(path: folder.path(place)) }
  }

  @Test(arguments: [1, 2, 3], ["", "bf16_"])
  func stages(_ stage: Int, _ prefix: String) throws {
    var files = stage == 3 ? Files.third : Files()
    files.stage = stage
    files.prefix = prefix
    try files.write(to: folder)
    _ = try folder.write("latest", Array("global_step1\n".utf8))
    for place in ["", "global_step1"] {
      let checkpoint = try Checkpoint(path: folder.path(place))
      #expect(checkpoint.container == .deepspeed)
      #expect(checkpoint.tensors.map(\.name) == ["buffer", "a", "b", "tied"])
      #expect(checkpoint.tensors.map(\.tensor.shape) == [[2], [3, 2], [3], [3, 2]])
      #expect(try checkpoint.tensors[1].tensor.values(as: Float.self) == [0, 1, 2, 3, 4, 5])
      #expect(try checkpoint.tensors[2].tensor.values(as: Float.self) == [6, 7, 8])
      #expect(try checkpoint.tensors[3].tensor.values(as: Float.self) == [0, 1, 2, 3, 4, 5])
      try checkpoint.verifyChecksums(of: checkpoint.tensors)
    }
  }

  @Test func countsThatDoNotFit() throws {
    var files = Files()
    files.shapes = [("a", [3, 2]), ("b", [9])]
    #expect(try refusal(files)?.code == .damaged)
    files.shapes = [("a", [3, 2])]
    #expect(try refusal(files)?.reason.contains("have 6 elements, and the partitions 12") == true)
    files.shapes = [("a", [1 << 40, 1 << 40])]
    #expect(try refusal(files)?.code == .damaged)
    files.shapes = [("a", [3]), ("a", [6])]
    #expect(try refusal(files)?.reason == "param_shapes has the parameter twice")
    var third = Files.third
    third.partitions = [[0, 1, 2, 6, 7, 9], [3, 4, 5, 8, 0, 9]]
    #expect(try refusal(third)?.code == .damaged)
    third.partitions = [[0, 1, 2, 6, 7], [3, 4, 5, 8]]
    #expect(try refusal(third)?.reason.contains("partitions of other sizes") == true)
  }

  @Test func missingRanks() throws {
    var files = Files()
    files.partitionCount = .int(3)
    var error = try refusal(files)
    #expect(error?.code == .partMissing)
    #expect(error?.reason.contains("such as zero_pp_rank_2_mp_rank_00_optim_states.pt") == true)
    files.partitionCount = .list([.int(1), .int(1)])
    #expect(try refusal(files)?.code == .damaged)
    files.partitionCount = .int(1 << 40)
    #expect(try refusal(files)?.code == .damaged)
    files = Files()
    files.stage = 4
    error = try refusal(files)
    #expect(error?.code == .unsupportedFormat && error?.reason == "is of ZeRO stage 4")
  }

  @Test(arguments: ["../step", "/tmp", "a/b", ".."])
  func namesThatLeadOut(_ name: String) throws {
    try Files().write(to: folder)
    _ = try folder.write("latest", Array(name.utf8))
    let error = #expect(throws: DecantError.self) { try Checkpoint(path: folder.path("")) }
    #expect(error?.code == .deceptive)
  }

  @Test func linksThatLeadOut() throws {
    try Files().write(to: folder, "outside/step")
    try FileManager.default.createDirectory(atPath: folder.path("run"), withIntermediateDirectories: true)
    try FileManager.default.createSymbolicLink(
      atPath: folder.path("run/step"), withDestinationPath: folder.path("outside/step"))
    _ = try folder.write("run/latest", Array("step".utf8))
    let error = #expect(throws: DecantError.self) { try Checkpoint(path: folder.path("run")) }
    #expect(error?.code == .deceptive)
    #expect(try Checkpoint(path: folder.path("run/step")).container == .deepspeed)
  }

  @Test func aWholeCheckpointBesideThePieces() throws {
    try Files().write(to: folder)
    _ = try folder.write("latest", Array("global_step1".utf8))
    var file = TorchFile()
    let root = Value.mapping(["a": file.tensor([3, 2])])
    _ = try folder.write("pytorch_model.bin", file.bytes(root))
    let error = #expect(throws: DecantError.self) { try Checkpoint(path: folder.path("")) }
    #expect(error?.reason.contains("global_step1") == true)
    #expect(error?.reason.contains("pytorch_model.bin") == true)
    _ = try folder.write("latest", Array("global_step2".utf8))
    #expect(throws: DecantError.self) { try Checkpoint(path: folder.path("")) }
  }

  @Test func otherKindsOfParallelism() throws {
    try Files().write(to: folder)
    for name in ["mp_rank_01_model_states.pt", "expp_rank_0_mp_rank_00_optim_states.pt"] {
      let path = try folder.write("global_step1/" + name, [1])
      defer { try? FileManager.default.removeItem(atPath: path) }
      let error = #expect(throws: DecantError.self) { try Checkpoint(path: folder.path("global_step1")) }
      #expect(error?.code == .unsupportedFormat)
    }
  }
}
