import Foundation
import TestSupport
import Testing

@Suite struct VerifyTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func decant(_ line: String) throws -> DecantRun {
    try DecantProcess.shell(line.replacing("OUT/", with: folder.url.path + "/"), in: Fixtures.root)
  }

  @Test func yes() throws {
    _ = try decant("decant synthesize resnet18 -o OUT/r.pth")
    let run = try decant("decant verify OUT/r.pth --arch resnet18")
    #expect(run.status == 0)
    #expect(
      run.output == """
        yes: names, shapes and types match resnet18: 122 tensors, all values finite

          block: basic, layers [2, 2, 2, 2]
          depth: 1 stem convolution + 2 × (2 + 2 + 2 + 2) = 16 block convolutions + 1 fully connected layer = 18 weighted layers
          layer1: 2 blocks, keeps 64 → 64 → 64; no downsample: shapes already match
          layer2: 2 blocks, keeps 128 → 128 → 128; downsample in layer2.0 (stride 2, 64 → 128 channels)
          layer3: 2 blocks, keeps 256 → 256 → 256; downsample in layer3.0 (stride 2, 128 → 256 channels)
          layer4: 2 blocks, keeps 512 → 512 → 512; downsample in layer4.0 (stride 2, 256 → 512 channels)
          outputs: 1,000

          taken from --arch (weights cannot confirm these)
            stem stride: 2
            block stride: on the first convolution
            max pool: 3×3, padding 1
            epsilon: 1e-05
            shortcut: added before the last ReLU
            activation: ReLU
            antialiasing: none
            stage strides: 1, 2, 2, 2
            output stride: 32 (no dilation)

        """)
    #expect(run.errors == "decant: using model (122 tensors); left out: epoch; --key . takes everything\n")
  }

  @Test func everyFindingAtOnce() throws {
    _ = try decant("decant synthesize resnet18 --num-classes 10 -o OUT/r.pth")
    let run = try decant("decant verify OUT/r.pth --arch resnet34")
    #expect(run.status == 1)
    #expect(
      run.output.hasPrefix(
        "no: this is not resnet34: 80 missing, 0 unexpected, 2 mismatched, 0 with NaN or infinity\n"))
    #expect(run.output.contains("  layer1: block 2 missing (10 tensors)\n"))
    #expect(run.output.contains("  layer3: blocks 2-5 missing (4 blocks, 40 tensors)\n"))
    let all = try decant("decant verify OUT/r.pth --arch resnet34 --verbose")
    #expect(all.output.contains("missing     layer1.2.conv1.weight  64×64×3×3"))
    #expect(
      run.output.contains("  the shapes match resnet18"))
    #expect(run.output.contains("mismatched  fc.weight  expected 1000×512, found 10×512"))
    #expect(try decant("decant verify OUT/r.pth --arch resnet18").status == 1)
    #expect(try decant("decant verify OUT/r.pth --arch resnet18 --num-classes 10").status == 0)
  }

  @Test func json() throws {
    let run = try decant("decant verify fixtures/torch/small_basic.pth --arch resnet18 --json")
    #expect(run.status == 1)
    let object = try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    #expect(object["schema"] as? Int == 1 && object["ok"] as? Bool == false)
    #expect(object["architecture"] as? String == "resnet18")
    #expect((object["mismatched"] as? [[String: Any]])?.first?["expected"] is [Int])
    #expect((object["declared"] as? [String: Any])?["stride0"] as? Int == 2)
    for member in ["missing", "unexpected", "non_finite"] { #expect(object[member] is [Any]) }
  }

  @Test func withoutArchTheShapesDecide() throws {
    let run = try decant("decant verify fixtures/torch/small_basic.pth")
    #expect(run.status == 0)
    #expect(
      run.output.hasPrefix("yes: names, shapes and types match a custom ResNet"))
    #expect(run.output.contains("  not in the file: stem stride, "))
    #expect(run.output.contains("names, shapes and types do not depend on them\n"))
  }

  @Test func prefixesAreReported() throws {
    let run = try decant("decant verify fixtures/torch/deep_prefixes.pth --json")
    #expect(run.errors.contains("ignoring the prefix") || run.status != 0)
  }
}
