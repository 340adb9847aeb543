import Foundation
import TestSupport
import Testing

@Suite struct IdentifyTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func decant(_ line: String) throws -> DecantRun {
    try DecantProcess.shell(
      "decant " + line.replacing("OUT/", with: folder.url.path + "/"), in: Fixtures.root)
  }

  @Test func exactText() throws {
    _ = try decant("synthesize resnet50nodown -o OUT/n.pth")
    let run = try decant("identify OUT/n.pth")
    #expect(run.status == 0)
    #expect(run.errors == "decant: using model (320 tensors); left out: epoch; --key . takes everything\n")
    #expect(
      run.output == """
        consistent with resnet50
          same names and shapes: resnet50, resnet50nodown, resnetaa50, resnetblur50
          key: model
          naming: torchvision
          320 tensors match

          fact             value                             source
          block            bottleneck                        layer1.0.conv3.weight [256, 64, 1, 1]
          layers           3, 4, 6, 3                        blocks counted, the last being layer4.2.conv1.weight
          depth            50                                1 stem convolution + 3 × (3 + 4 + 6 + 3) = 48 block convolutions + 1 fully connected layer; shortcuts are not counted
          stem             one 7×7 convolution, 64 channels  conv1.weight [64, 3, 7, 7]
          groups           1                                 layer1.0.conv2.weight [64, 64, 3, 3] of layer1.0.conv1.weight [64, 64, 1, 1]
          width_per_group  64                                layer1.0.conv1.weight [64, 64, 1, 1]
          shortcut         projection                        layer2.0.downsample.0.weight [512, 256, 1, 1]
          classes          1                                 fc.weight [1, 2048]
          input_channels   3                                 conv1.weight [64, 3, 7, 7]

          not in the file  default                                                                   set with
          stride0          2 (1 in resnet50nodown, whose names and shapes are the same)              --stride0
          block_stride     on the 3×3 convolution (v1.5)                                             --block-stride
          max_pool         3×3, padding 1                                                            --stem-pooling
          epsilon          1e-05                                                                     --epsilon
          shortcut         added before the last ReLU
          activation       ReLU
          antialiasing     none
          stage_strides    1, 2, 2, 2                                                                --stage-strides
          output_stride    32 (no dilation)                                                          --output-stride
          residual         shortcuts are added; a plain network can have the same names and shapes
          preprocessing    RGB, 224×224, scaled to 0…1, mean 0.485 0.456 0.406, deviation 0.229 0.224 0.225

        """)
  }

  /// The JSON that scripts rely on.
  @Test func jsonContract() throws {
    let run = try decant("identify fixtures/torch/small_basic.pth --json")
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    #expect(object["schema"] as? Int == 1)
    #expect(object["architecture"] is NSNull && object["nearest"] as? String == "resnet18")
    #expect(object["block"] as? String == "basic" && object["layers"] as? [Int] == [1, 1, 2, 1])
    #expect(object["depth"] as? Int == 12 && object["classes"] as? Int == 10)
    #expect(object["dialect"] as? String == "torchvision" && object["key"] as? String == "model")
    #expect(object["prefix"] as? String == "")
    let facts = try #require(object["facts"] as? [[String: String]])
    #expect(facts.allSatisfy { Set($0.keys) == ["name", "value", "source", "kind"] } && facts.count > 5)
    #expect((object["undetermined"] as? [String])?.first == "stride0")
  }

  @Test func aNameThatClaimsAnotherDigest() throws {
    _ = try decant("synthesize resnet18 -o OUT/resnet18-f37072fd.pth")
    let run = try decant("identify OUT/resnet18-f37072fd.pth")
    #expect(run.status == 0)
    #expect(
      run.errors.contains("the file name says that the SHA-256 begins with f37072fd, but it begins with "))
  }

  @Test func explains() throws {
    _ = try decant("synthesize resnet50 -o OUT/r.pth")
    let run = try decant("identify OUT/r.pth --explain")
    // 4.09 billion multiply-adds is the known cost; the blocks are those of He et al. 2015, figure 5.
    #expect(
      run.output.hasSuffix(
        """

        for one 224×224 image, with stem stride 2 (set with --size and --stride0)
          stage    result      multiply-adds    share  parameters
          stem     64×112×112    118,013,952    2.9 %       9,536
          maxpool  64×56×56                0    0.0 %           0
          layer1   256×56×56     667,942,912   16.3 %     215,808
          layer2   512×28×28   1,027,604,480   25.1 %   1,219,584
          layer3   1024×14×14  1,464,336,384   35.8 %   7,098,368
          layer4   2048×7×7      809,238,528   19.8 %  14,964,736
          avgpool  2048                    0    0.0 %           0
          logits   1000            2,048,000    0.1 %   2,049,000
          total                4,089,184,256  100.0 %  25,557,032

        depth: why 50 layers
          1 stem convolution + 3 × (3 + 4 + 6 + 3) = 48 block convolutions + 1 fully connected layer = 50. Shortcut convolutions are not counted.
        what each convolution of a block does
          layer1.2.conv1.weight (1×1) reduces 256 channels to 64: 16,384 weights
          layer1.2.conv2.weight (3×3) keeps 64 channels: 36,864 weights
          layer1.2.conv3.weight (1×1) expands to 256 channels: 16,384 weights
          in total 69,632 weights; two 3×3 convolutions on 256 channels would have 1,179,648, 16.9 times as many
        which blocks have a downsample, and why
          layer1.0 (64 → 256 channels), layer2.0 (stride 2, 256 → 512 channels), layer3.0 (stride 2, 512 → 1024 channels), layer4.0 (stride 2, 1024 → 2048 channels): a shortcut must have the shape of its block's output. All other shortcuts are the identity, without weights

        """), "\(run.output)")
    #expect(try decant("identify OUT/r.pth --explain --stride0 1").output.contains("  256×224×224 "))
    let tiny = try decant(
      "synthesize resnet50_clip -o OUT/c.pth && decant identify OUT/c.pth --explain --size 1")
    #expect(tiny.status == 2 && tiny.errors.contains("--size"))
  }

  @Test func explanationAsJSON() throws {
    let run = try decant("identify fixtures/torch/small_basic.pth --explain --size 64 --json")
    #expect(run.status == 0)
    let document = try #require(
      try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    #expect(document["file"] as? String == "fixtures/torch/small_basic.pth")
    let values = try #require(document["values"] as? [String: Any])
    #expect(values["classes"] as? Int == 10 && values["block"] as? String == "basic")
    let explanation = try #require(document["explanation"] as? [String: Any])
    let stages = try #require(explanation["stages"] as? [[String: Any]])
    #expect(explanation["input_size"] as? Int == 64 && explanation["weighted_layers"] as? Int == 12)
    #expect(stages.compactMap { $0["name"] as? String }.contains("layer4"))
    let total = stages.compactMap { $0["multiply_adds"] as? Int }.reduce(0, +)
    #expect(total == explanation["multiply_adds"] as? Int)
  }

  @Test func whatIsNoResNet() throws {
    let json = try decant("identify fixtures/torch/weights.safetensors --json")
    #expect(json.status == 1)
    #expect(
      json.output.hasPrefix(
        """
        {
          "schema": 1,
          "file": "fixtures/torch/weights.safetensors",
          "architecture": null,
          "same_shapes_as": [],
          "nearest": null,
          "looks_like": null,
          "reason": "not recognised as a ResNet: 5 of 6 tensors have names of torchvision, but layer1.0.conv1.weight is missing",
          "prefixes": [
            {"prefix": "bn1", "tensors": 3, "first": "bn1.num_batches_tracked", "shape": []},
        """), "\(json.output)")
    let run = try decant("identify fixtures/torch/weights.safetensors")
    #expect(run.status == 1 && run.output.isEmpty)
    #expect(
      run.errors.hasPrefix(
        "decant: error: fixtures/torch/weights.safetensors: not recognised as a ResNet: 5 of 6 tensors have names of torchvision, but layer1.0.conv1.weight is missing; prefixes found: bn1 (3 tensors, such as bn1.num_batches_tracked scalar), "
      ))
  }

  @Test func namesThereAndBack() throws {
    _ = try decant(
      "synthesize resnet18 -o OUT/r.pth && decant convert OUT/r.pth OUT/r.safetensors --key model")
    _ = try decant("convert OUT/r.safetensors OUT/r1.safetensors")
    for dialect in [
      "timm", "transformers", "detectron2", "mmpretrain", "cifar", "cifar-underscored", "mmpretrain-ema",
    ] {
      let run = try decant(
        "convert OUT/r1.safetensors OUT/there.safetensors --names \(dialect) && decant convert OUT/there.safetensors OUT/back.safetensors --names torchvision && cmp OUT/r1.safetensors OUT/back.safetensors"
      )
      #expect(run.status == 0, "\(dialect): \(run.errors)")
      let verified = try decant("verify OUT/there.safetensors --arch resnet18")
      #expect(verified.status == 0, "\(dialect): \(verified.output)")
    }
    let refused = try decant("convert OUT/r.safetensors OUT/no.safetensors --names sequential --json")
    #expect(refused.status == 2)
    let error = try JSONError(refused.output)
    #expect(error.code == "notRepresentable" && error.message.hasSuffix("fc.weight, fc.bias"))
    #expect(!FileManager.default.fileExists(atPath: folder.url.path + "/no.safetensors"))
  }

  @Test func tables() throws {
    let dialects = try decant("identify --dialects")
    #expect(dialects.status == 0)
    #expect(dialects.output.contains("\ndetectron2: detectron2's ResNet and what is converted for it\n"))
    #expect(dialects.output.contains("  layer{s}.{b}.conv{i}.*       res{s+1}.{b}.conv{i}.*\n"))
    let architectures = try decant("identify --architectures")
    #expect(architectures.output.contains("\n  resnet50nodown"))
    for line in ["identify", "identify FILE --dialects", "convert a b.safetensors --names nobody"] {
      #expect(try decant(line).status == 64)
    }
  }
}
