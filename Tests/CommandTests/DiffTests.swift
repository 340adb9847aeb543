import Foundation
import TestSupport
import Testing

@Suite struct DiffTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func decant(_ line: String) throws -> DecantRun {
    try DecantProcess.shell(line.replacing("OUT/", with: folder.url.path + "/"), in: Fixtures.root)
  }

  @Test func theSameInAnotherContainer() throws {
    _ = try decant("decant convert fixtures/torch/small_basic.pth OUT/small.safetensors --key model")
    let run = try decant("decant diff fixtures/torch/small_basic.pth OUT/small.safetensors")
    #expect(run.status == 0)
    #expect(run.output == "the same: 86 tensors, every bit\n")
    #expect(
      run.errors == "decant: in A, using model (86 tensors); left out: epoch; --key . takes everything\n")
    let whole = try decant("decant diff fixtures/torch/small_basic.pth OUT/small.safetensors --key-a .")
    #expect(whole.status == 0)
    #expect(whole.errors == "decant: ignoring the prefix 'model.' of A in 86 names\n")
  }

  @Test func everyKindOfDifference() throws {
    let run = try decant(
      "decant diff fixtures/torch/small_basic.pth fixtures/torch/small_nodown.pth "
        + "--key . --only 'model.layer[13].0.bn[23].*' --except '*.running*'")
    #expect(run.status == 1)
    #expect(
      run.output == """
        not the same: 2 identical, 4 changed, 6 only in B

          changed, largest first     dtype    shape    differ   max abs   max rel            ULP       cosine
          model.layer3.0.bn2.weight  float32  32     32 of 32  9.93e-01  8.32e-01     20,971,520  0.998792966
          model.layer1.0.bn2.weight  float32  8        8 of 8  9.63e-01  8.31e-01     20,971,520  0.998955225
          model.layer1.0.bn2.bias    float32  8        8 of 8  1.25e-01  1.24e+00  2,056,593,417  0.738719251
          model.layer3.0.bn2.bias    float32  32     32 of 32  1.25e-01  1.95e+00  2,063,381,081  0.763560852

          only in B:
            model.layer1.0.bn3.weight               32      float32
            model.layer1.0.bn3.bias                 32      float32
            model.layer1.0.bn3.num_batches_tracked  scalar  int64
            model.layer3.0.bn3.weight               128     float32
            model.layer3.0.bn3.bias                 128     float32
            model.layer3.0.bn3.num_batches_tracked  scalar  int64

        """)
    #expect(run.errors == "decant: skipped 80 tensors of A\ndecant: skipped 110 tensors of B\n")
  }

  @Test func theVerdictComesFirst() throws {
    for (seed, file) in [(1, "one"), (2, "two")] {
      _ = try decant("decant synthesize resnet18 --seed \(seed) -o OUT/\(file).pth")
    }
    _ = try decant("decant convert OUT/one.pth OUT/half.safetensors --dtype float16")
    let unrelated = try decant("decant diff OUT/one.pth OUT/two.pth").output.split(separator: "\n")
    #expect(unrelated.first?.hasSuffix(": unrelated weights") == true)
    #expect(unrelated.contains { $0.contains("layer{1-4}.{0-1}.conv{1-2}.weight  (16 tensors)") })
    let rounded = try decant("decant diff OUT/one.pth OUT/half.safetensors --top 2")
    let lines = rounded.output.split(separator: "\n")
    #expect(lines.first?.hasSuffix(" changed: exact float16 rounding") == true)
    #expect(lines.count == 5 && lines.last == "  … and 100 more; --all lists them")
    let all = try decant("decant diff OUT/one.pth OUT/half.safetensors --all").output
    #expect(all.split(separator: "\n").count == 2 + 102 && !all.contains("{"))
    for refused in ["--top 0", "--top 3 --all", "--top 3 --json"] {
      #expect(try decant("decant diff OUT/one.pth OUT/two.pth \(refused)").status == 64)
    }
  }

  @Test func renamed() throws {
    _ = try decant(
      "decant convert fixtures/torch/small_basic.pth OUT/other.safetensors --key . --names detectron2")
    let run = try decant("decant diff fixtures/torch/small_basic.pth OUT/other.safetensors --key .")
    #expect(run.status == 1)
    let lines = run.output.split(separator: "\n")
    #expect(
      lines.first
        == "not the same: 86 renamed; all data is the same, every bit, only names differ (--ignore-names accepts that)"
    )
    #expect(lines.last == "    … and 70 more; --all lists them" && lines.count == 19)
    #expect(
      lines.contains { $0.contains("model.bn1.weight") && $0.hasSuffix("→ model.stem.conv1.norm.weight") })
    #expect(run.errors == "decant: naming: torchvision in A, detectron2 in B\n")
    let same = try decant("decant diff fixtures/torch/small_basic.pth OUT/other.safetensors --ignore-names")
    #expect(same.status == 0)
    #expect(same.output.hasPrefix("the same: 86 tensors: 86 renamed, every bit\n"))
  }

  @Test func json() throws {
    let run = try decant(
      "decant diff fixtures/torch/small_basic.pth fixtures/torch/small_nodown.pth --key . --json")
    #expect(run.status == 1)
    let object = try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    #expect(object["schema"] as? Int == 1 && object["same"] as? Bool == false)
    #expect(object["identical"] as? Int == 45)
    let changed = try #require(object["changed"] as? [[String: Any]])
    #expect(changed.count == 29 && changed[1]["name"] as? String == "model.layer1.0.bn2.weight")
    #expect(changed[1]["max_ulp"] as? Int == 20_971_520 && changed[0]["max_abs"] is NSNull)
    for member in ["renamed", "only_a", "only_b"] { #expect(object[member] is [Any]) }
  }

  @Test func whatCannotBeCompared() throws {
    let run = try decant(
      "decant diff fixtures/torch/without_data.pth fixtures/torch/without_data.pth --json")
    #expect(run.status == 2)
    let error = try JSONError(run.output)
    let unread = try decant("decant diff fixtures/arrays/tensors.gguf fixtures/arrays/tensors.gguf --json")
    #expect(try unread.status == 2 && JSONError(unread.output).code == "unreadTensors")
    let unmatched = try decant(
      "decant diff fixtures/torch/prefix.pth fixtures/torch/prefix.pth --only no --json")
    #expect(try unmatched.status == 2 && JSONError(unmatched.output).code == "tensorNotFound")
    #expect(error.code == "noData" && error.message.contains("meta, meta_transposed, meta_parameter"))
    #expect(
      try decant("decant diff fixtures/torch/prefix.pth fixtures/torch/prefix.pth --tolerance-abs=-1").status
        == 64)
    #expect(try decant("decant diff fixtures/torch/prefix.pth fixtures/torch/absent.pth").status == 2)
  }
}
