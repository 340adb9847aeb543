internal import DecantBytes

/// The names of a DeepSpeed checkpoint's files, in the order of ranks.
///
/// Source: DeepSpeed 0.19 `deepspeed/checkpoint/constants.py`, `deepspeed/runtime/engine.py`.
struct DeepSpeedFileNames {
  /// The model's files: `mp_rank_00_model_states.pt`, or in stage 3 `zero_pp_rank_R_mp_rank_00_model_states.pt`.
  let models: [String]
  /// The optimizer's files, `[bf16_]zero_pp_rank_R_mp_rank_00_optim_states.pt`.
  let optimizers: [String]
  private let ranks: [Int]
  private let prefix: String

  private static let modelSuffix = "_model_states.pt"
  private static let optimizerSuffix = "_optim_states.pt"

  /// Returns true for a name that DeepSpeed gives to a file of a checkpoint.
  static func isName(_ name: String) -> Bool {
    name.hasSuffix(modelSuffix) || name.hasSuffix(optimizerSuffix)
  }

  /// - Throws: ``DecantError`` when the model was split otherwise than by ZeRO, or files are missing or ambiguous.
  init(_ names: [String], in folder: String) throws(DecantError) {
    var models: [(rank: Int, name: String)] = []
    var optimizers: [(rank: Int, name: String, prefix: String)] = []
    for name in names where Self.isName(name) {
      let isModel = name.hasSuffix(Self.modelSuffix)
      var stem = String(name.dropLast((isModel ? Self.modelSuffix : Self.optimizerSuffix).count))
      var prefix = ""
      for known in ["bf16_", "fp16_"] where stem.hasPrefix(known) {
        prefix = known
        stem = String(stem.dropFirst(known.count))
      }
      if isModel, prefix.isEmpty, stem == "mp_rank_00" {
        models.append((0, name))
      } else if stem.hasPrefix("zero_pp_rank_"), stem.hasSuffix("_mp_rank_00"),
        let rank = Self.number(stem.dropFirst("zero_pp_rank_".count).dropLast("_mp_rank_00".count))
      {
        if isModel { models.append((rank, name)) } else { optimizers.append((rank, name, prefix)) }
      } else {
        throw DecantError(
          .unsupportedFormat,
          "\(name.escapedForDisplay) is of a model that is split by tensor, pipeline or expert parallelism too",
          file: folder, remedy: "Convert it where the model was trained, with DeepSpeed's ds_to_universal.py."
        )
      }
    }
    models.sort { $0.rank < $1.rank }
    optimizers.sort { ($0.rank, $0.name) < ($1.rank, $1.name) }
    for (first, second) in zip(optimizers, optimizers.dropFirst()) where first.rank == second.rank {
      throw DecantError(
        .damaged,
        "\(first.name.escapedForDisplay) and \(second.name.escapedForDisplay) are of the same rank",
        file: folder,
        remedy: "Remove the files of one of the two checkpoints, or pass those of the other with --join.")
    }
    for (first, second) in zip(models, models.dropFirst()) where first.rank == second.rank {
      throw DecantError(
        .damaged,
        "\(first.name.escapedForDisplay) and \(second.name.escapedForDisplay) are of the same rank",
        file: folder,
        remedy: "Remove the files of one of the two checkpoints, or pass those of the other with --join.")
    }
    guard let first = models.first, first.rank == 0 else {
      throw DecantError(
        .partMissing, "the model's file of rank 0 is missing (mp_rank_00_model_states.pt)", file: folder,
        remedy: "The checkpoint is incomplete. Download the missing file.")
    }
    guard !optimizers.isEmpty else {
      throw DecantError(
        .partMissing, "the optimizer's files are missing (zero_pp_rank_0_mp_rank_00_optim_states.pt)",
        file: folder,
        remedy:
          "Download them too: they hold the float32 weights. Without ZeRO the model's file holds all weights: pass \(first.name.escapedForDisplay) of this folder by its path."
      )
    }
    self.models = models.map(\.name)
    self.optimizers = optimizers.map(\.name)
    ranks = optimizers.map(\.rank)
    prefix = optimizers[0].prefix
  }

  /// Checks that the files of all ranks are there.
  ///
  /// - Throws: ``DecantError`` that names the missing files.
  func requireAll(of count: Int, in folder: String) throws(DecantError) {
    let known = Set(ranks)
    guard count >= 1, count <= 1 << 20 else {
      throw DecantError(.damaged, "the optimizer records \(count) partitions", file: folder)
    }
    let missing = (0..<count).filter { !known.contains($0) }
    if let first = missing.first {
      throw DecantError(
        .partMissing,
        "\(missing.count) of \(count) optimizer files \(missing.count == 1 ? "is" : "are") missing, such as \(prefix)zero_pp_rank_\(first)_mp_rank_00\(Self.optimizerSuffix)",
        file: folder, remedy: "The checkpoint is incomplete. Download the missing files.")
    }
    guard ranks.count == count else {
      throw DecantError(
        .damaged, "there are \(ranks.count) optimizer files, but the checkpoint has \(count) partitions",
        file: folder,
        remedy: "An older checkpoint was overwritten by one of fewer ranks. Remove the files of higher ranks."
      )
    }
  }

  private static func number(_ digits: Substring) -> Int? {
    !digits.isEmpty && digits.utf8.allSatisfy { 0x30...0x39 ~= $0 } ? Int(digits) : nil
  }
}
