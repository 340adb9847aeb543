import DecantResNets
import DecantTensors
import Testing

/// Tests every row of every dialect, in both directions.
@Suite struct DialectTests {
  /// Canonical names, one of each kind that a ResNet has.
  private static let canonical: [String] = {
    let leaves = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    var names = ["conv1.weight", "fc.weight", "fc.bias"] + leaves.map { "bn1." + $0 }
    names +=
      [0, 3, 6].map { "conv1.\($0).weight" }
      + [1, 4].flatMap { place in leaves.map { "conv1.\(place).\($0)" } }
    for (stage, block) in [(1, 0), (2, 3), (3, 35), (4, 2)] {
      let name = "layer\(stage).\(block)."
      names += (1...3).flatMap { number in
        [name + "conv\(number).weight"] + leaves.map { "\(name)bn\(number).\($0)" }
      }
      names += [name + "downsample.0.weight"] + leaves.map { name + "downsample.1." + $0 }
      names += leaves.map { name + "downsample.2." + $0 }
    }
    return names
  }()

  @Test(arguments: ResNetDialect.all)
  func thereAndBack(_ dialect: ResNetDialect) {
    var spelled: Set<String> = []
    for name in Self.canonical {
      guard let theirs = dialect.spelling(of: name) else { continue }
      #expect(dialect.canonicalName(of: theirs[...]) == name, "\(dialect.name): \(theirs)")
      #expect(spelled.insert(theirs).inserted, "\(dialect.name): two names are spelled \(theirs)")
    }
    #expect(spelled.count > 15, "\(dialect.name) names \(spelled.count)")
  }

  @Test func numbersHaveTheirDigits() {
    let bit = ResNetDialect.named("bit")
    #expect(bit?.canonicalName(of: "body.block1.unit1.conv1.weight") == nil)
    #expect(bit?.canonicalName(of: "body.block1.unit001.conv1.weight") == nil)
    #expect(bit?.canonicalName(of: "body.block1.unit00.conv1.weight") == nil)
    #expect(bit?.canonicalName(of: "body.block1.unit100.conv1.weight") == "layer1.99.conv1.weight")
  }

  @Test(arguments: ResNetDialect.all)
  func everyRowIsOfUse(_ dialect: ResNetDialect) {
    #expect(Set(dialect.rows.map(\.canonical)).count == dialect.rows.count)
    #expect(Set(dialect.rows.map(\.spelled)).count == dialect.rows.count)
    #expect(ResNetDialect.named(dialect.name) == dialect)
  }

  /// Compares names with those in the libraries themselves.
  @Test(arguments: [
    ("timm", "conv1.3.weight", "conv1.3.weight"), ("timm", "layer2.0.se.fc1.bias", "layer2.0.se.fc1.bias"),
    (
      "transformers", "layer1.0.bn2.running_mean",
      "resnet.encoder.stages.0.layers.0.layer.1.normalization.running_mean"
    ),
    ("transformers", "fc.bias", "classifier.1.bias"),
    ("transformers-backbone", "conv1.weight", "embedder.embedder.convolution.weight"),
    ("detectron2", "bn1.weight", "stem.conv1.norm.weight"),
    ("detectron2", "layer4.2.conv3.weight", "res5.2.conv3.weight"),
    ("detectron2", "layer1.0.downsample.1.running_var", "res2.0.shortcut.norm.running_var"),
    ("mmpretrain", "layer3.5.bn1.weight", "backbone.layer3.5.bn1.weight"),
    ("mmpretrain-deep", "conv1.4.bias", "backbone.stem.1.bn.bias"),
    ("mmpretrain-ema", "layer1.0.bn2.running_var", "ema_backbone_layer1_0_bn2_running_var"),
    ("mmdetection-deep", "bn1.bias", "stem.7.bias"), ("cifar", "fc.weight", "linear.weight"),
    ("cifar-underscored", "layer2.1.bn2.weight", "stage_2.1.bn_2.weight"),
    ("clip", "conv1.6.weight", "conv3.weight"),
    ("clip", "layer2.0.downsample.2.bias", "layer2.0.downsample.1.bias"),
    ("sequential", "layer1.0.conv1.weight", "4.0.conv1.weight"),
    ("timm-resnetv2", "layer1.0.bn3.running_var", "stages.0.blocks.0.norm3.running_var"),
    ("timm-resnetv2", "layer2.0.downsample.0.weight", "stages.1.blocks.0.downsample.conv.weight"),
    ("timm-byobnet", "layer1.0.se.fc1.weight", "stages.0.0.attn.fc1.weight"),
    ("timm-byobnet", "bn1.bias", "stem.conv3.bn.bias"),
    ("timm-byobnet-51q", "conv1.0.weight", "stem.conv1.weight"),
    ("timm-byobnet-61q", "layer1.0.conv2.weight", "stages.0.0.conv2_1x1.conv.weight"),
    ("timm-byobnet-61q", "layer3.5.bn3.weight", "stages.2.5.conv2b_kxk.bn.weight"),
    ("timm-clip", "layer1.0.downsample.1.weight", "stages.0.0.shortcut.conv.conv.weight"),
    ("caffe2", "layer3.5.conv2.weight", "res4_5_branch2b_w"), ("caffe2", "bn1.weight", "res_conv1_bn_s"),
    ("caffe2", "layer1.0.downsample.1.bias", "res2_0_branch1_bn_b"),
    ("pretrainedmodels", "layer1.0.se.fc2.bias", "layer1.0.se_module.fc2.bias"),
    ("bit", "layer1.0.bn1.weight", "body.block1.unit01.gn1.weight"),
    ("bit-npz", "layer4.11.conv3.weight", "resnet/block4/unit12/c/standardized_conv2d/kernel"),
  ])
  func spells(_ dialect: String, _ canonical: String, _ theirs: String) throws {
    let dialect = try #require(ResNetDialect.named(dialect))
    #expect(dialect.spelling(of: canonical) == theirs)
    #expect(dialect.canonicalName(of: theirs[...]) == canonical)
  }

  @Test(arguments: [
    "layer01.0.conv1.weight", "layer1.0.conv1.weight.more", "layer999999.0.conv1.weight", "bn1.", "bn1.a.b",
    "",
    "layer-1.0.conv1.weight", "layer١.0.conv1.weight",
  ])
  func knowsNoOther(_ name: String) {
    for dialect in ResNetDialect.all { #expect(dialect.canonicalName(of: name[...]) == nil) }
  }
}
