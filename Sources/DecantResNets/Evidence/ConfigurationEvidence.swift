internal import DecantBytes

/// Evidence from a configuration: Hugging Face's, timm's, mmcv's, or the arguments of a training script.
///
/// Only the forms that these libraries write are read; everything else is skipped.
struct ConfigurationEvidence {
  private typealias Setting = ResNetEvidence.Setting

  private(set) var items: [ResNetEvidence.Item] = []
  private let place: String
  private let dialect: String
  private let shapes: ResNetConfiguration

  /// Reads a configuration.
  ///
  /// - Parameters:
  ///   - place: the file or the key, as messages name it.
  ///   - dialect: the dialect of the tensors. Facts that a library's code implies count only for the library's own
  ///     dialect.
  ///   - shapes: the configuration inferred from the tensors' names and shapes.
  init(_ content: JSONValue, place: String, dialect: String, _ shapes: ResNetConfiguration) {
    self.place = place
    self.dialect = dialect
    self.shapes = shapes
    if let text = content[GeometryRecord.key]?.string { readGeometry(text) }
    if content["model_type"]?.string == "resnet" { readTransformers(content) }
    readPreprocessing(content)
    readTimm(content)
    readArguments(content)
    for key in ["config", "cfg"] { if let text = content[key]?.string { readText(text, key) } }
  }

  private mutating func add(
    _ name: String, _ value: String, _ detail: String, _ setting: ResNetEvidence.Setting? = nil
  ) {
    items.append(
      ResNetEvidence.Item(
        name, value, .configuration, place: place, detail,
        setting: setting))
  }

  private mutating func addArchitecture(_ spelled: String, _ key: String) {
    let known = ResNetArchitecture.named(loosely: spelled)?.name
    add("architecture", known ?? spelled, "\(key) \(spelled)", known.map { .architecture($0) })
  }

  // MARK: Decant

  /// Reads the geometry in a model that Decant wrote.
  private mutating func readGeometry(_ text: String) {
    guard let content = try? JSONValue(parsing: unsafe Array(text.utf8).span.bytes, depth: 8),
      let settings = GeometryRecord.settings(content)
    else { return }
    var recorded = shapes
    for (_, setting) in settings { setting.apply(to: &recorded) }
    let facts = recorded.geometry
    for (name, setting) in settings {
      if let value = facts.first(where: { $0.name == name })?.value {
        add(name, value, GeometryRecord.key, setting)
      } else if case .headInput(let functions) = setting {
        add(name, functions.text, GeometryRecord.key, setting)
      } else if case .outputFunctions(let functions) = setting {
        add(name, functions.text, GeometryRecord.key, setting)
      } else if case .headEpsilons(let epsilons) = setting {
        let values = Set(epsilons.values).sorted().map { "\($0)" }
        add(name, values.joined(separator: ", "), GeometryRecord.key, setting)
      }
    }
    for (name, value) in facts where name == "shortcut" { add(name, value, GeometryRecord.key) }
    add("residual", "shortcuts are added", GeometryRecord.key)
  }

  // MARK: transformers

  /// Reads a configuration of transformers.
  ///
  /// Source: transformers 5 `models/resnet/configuration_resnet.py` and `modeling_resnet.py`.
  private mutating func readTransformers(_ content: JSONValue) {
    let isBottleneck = content["layer_type"]?.string ?? "bottleneck" == "bottleneck"
    add("block", content["layer_type"]?.string ?? "bottleneck", "layer_type")
    if let depths = sizes(content["depths"]) {
      add("layers", depths.map(String.init).joined(separator: ", "), "depths")
    }
    if let activation = content["hidden_act"]?.string {
      add(
        "activation", activation == "relu" ? "ReLU" : activation, "hidden_act \(activation)",
        activation == "relu" ? .nonlinearity(.relu) : .other)
    }
    guard dialect.hasPrefix("transformers") else { return }
    if isBottleneck {
      let first = content["downsample_in_bottleneck"] == .bool(true)
      add(
        "block_stride", first ? "on the first 1×1 convolution (v1)" : "on the 3×3 convolution (v1.5)",
        "downsample_in_bottleneck \(first)", .blockStride(first ? .first : .second))
    }
    // The library's code fixes these facts, and no configuration changes them.
    let code = "model_type resnet, by transformers' code"
    let first = content["downsample_in_first_stage"] == .bool(true)
    addStrides(
      [first ? 2 : 1] + shapes.stages.dropFirst().map { _ in 2 }, "downsample_in_first_stage \(first)")
    add("stride0", "2", code, .stride0(2))
    add("max_pool", "3×3, padding 1", code, .stemPooling(.max))
    add("epsilon", "1e-05", code, .epsilon(1e-5))
    add("residual", "shortcuts are added", code)
    if let usual = shapes.geometry.first(where: { $0.name == "shortcut" }) {
      add("shortcut", usual.value, code)
    }
    add("antialiasing", "none", code, .antialiasing(.none))
    add("output_stride", ResNetConfiguration.undilatedOutputStride, code, .outputStride(nil))
  }

  private mutating func addStrides(_ strides: [Int], _ detail: String) {
    let all = strides.map(String.init).joined(separator: ", ")
    add(
      "stage_strides", all, detail,
      strides.count == shapes.stages.count && strides.allSatisfy { 1...16 ~= $0 }
        ? .stageStrides(strides) : .other)
  }

  /// Adds the ratio of the input's height and width to those of the last stage, where dilation replaces strides.
  private mutating func addOutputStride(_ stride: Int, _ detail: String) {
    add("output_stride", "\(stride), by dilation", detail, .outputStride(stride))
  }

  private func sizes(_ value: JSONValue?) -> [Int]? {
    guard let list = value?.array, list.count <= 64 else { return nil }
    let numbers = list.compactMap(\.size)
    return numbers.count == list.count ? numbers : nil
  }

  // MARK: Preprocessing

  /// Reads Hugging Face's `preprocessor_config.json`.
  ///
  /// The normalization in timm's `pretrained_cfg` and mmcv's `data_preprocessor` is read with their other settings.
  private mutating func readPreprocessing(_ content: JSONValue) {
    if let mean = numbers(content["image_mean"]), let deviation = numbers(content["image_std"]) {
      var words: [String] = []
      if let size = content["size"]?.size ?? content["size"]?["shortest_edge"]?.size {
        words.append("shortest edge \(size)")
      }
      if let height = content["size"]?["height"]?.size, let width = content["size"]?["width"]?.size {
        words.append("\(height)×\(width)")
      }
      words += [mean, deviation].enumerated().map { ($0 == 0 ? "mean " : "deviation ") + $1 }
      if let part = content["crop_pct"]?.double { words.append("crop \(part)") }
      add("preprocessing", words.joined(separator: ", "), "image_mean, image_std")
    }
  }

  private func numbers(_ value: JSONValue?) -> String? {
    guard let list = value?.array, 1...16 ~= list.count else { return nil }
    let numbers = list.compactMap(\.double)
    return numbers.count == list.count
      ? numbers.map { "\(JSONValue.exact($0).text)" }.joined(separator: " ") : nil
  }

  // MARK: timm

  /// Reads a configuration of timm. Source: timm 1.0 `models/_hub.py` (`config.json`) and `models/_pretrained.py`.
  private mutating func readTimm(_ content: JSONValue) {
    for (key, config) in [
      ("pretrained_cfg", content["pretrained_cfg"]), ("default_cfg", content["default_cfg"]),
      ("", content["architecture"] == nil ? nil : content),
    ] {
      guard let config, case .object = config, let mean = numbers(config["mean"]),
        let deviation = numbers(config["std"])
      else { continue }
      var words: [String] = []
      if let size = sizes(config["input_size"]), size.count == 3 { words.append("\(size[1])×\(size[2])") }
      words += ["mean \(mean)", "deviation \(deviation)"]
      if let kind = config["interpolation"]?.string { words.append(kind) }
      if let part = config["crop_pct"]?.double { words.append("crop \(part)") }
      add("preprocessing", "RGB, " + words.joined(separator: ", "), key.isEmpty ? "mean, std" : key)
      if let name = config["architecture"]?.string, !key.isEmpty {
        addArchitecture(name, "\(key).architecture")
      }
      break
    }
    for key in ["model_args", "_model_args", "pretrained_model_args"] {
      if let stride = content[key]?["output_stride"]?.size, [8, 16].contains(stride) {
        addOutputStride(stride, "\(key).output_stride \(stride)")
      }
    }
  }

  // MARK: Arguments of a training script

  /// The keys whose text always names a network.
  private static let naming = ["arch", "architecture"]
  /// The keys whose text names a network only if it is a known name.
  private static let mayName = [
    "model_name", "model", "backbone", "encoder_name", "encoder", "net", "network", "model_arch", "name_arch",
    "base_model", "resnet",
  ]

  private mutating func readArguments(_ content: JSONValue) {
    for key in Self.naming {
      // A long text or one with spaces is not a name.
      if let text = content[key]?.string, 1...64 ~= text.utf8.count, text.utf8.allSatisfy({ $0 > 0x20 }) {
        addArchitecture(text, key)
      }
    }
    for key in Self.mayName {
      if let text = content[key]?.string, ResNetArchitecture.named(loosely: text) != nil {
        addArchitecture(text, key)
      }
    }
    if let stride = content["stride0"]?.size, 1...8 ~= stride {
      add("stride0", "\(stride)", "stride0 \(stride)", .stride0(stride))
    }
    // torchvision's flags are for the second, third and fourth stage.
    if let dilations = content["replace_stride_with_dilation"]?.array, dilations.contains(.bool(true)) {
      switch dilations {
      case [.bool(false), .bool(false), .bool(true)]: addOutputStride(16, "replace_stride_with_dilation")
      case [.bool(false), .bool(true), .bool(true)]: addOutputStride(8, "replace_stride_with_dilation")
      default: add("output_stride", "another", "replace_stride_with_dilation", .other)
      }
    }
    if let stride = content["output_stride"]?.size, [8, 16].contains(stride) {
      addOutputStride(stride, "output_stride \(stride)")
    }
  }

  // MARK: mmcv

  /// Reads the keyword arguments of an mmcv backbone. Source: mmpretrain 1.2 `models/backbones/resnet.py`.
  private mutating func readText(_ text: String, _ key: String) {
    guard let start = text.firstRange(of: "backbone=dict("),
      let keywords = PythonSource.keywords(text[start.upperBound...])
    else { return }
    let backbone = JSONValue.object(keywords)
    guard let type = backbone["type"]?.string, type.hasPrefix("ResN") || type.hasPrefix("SEResN") else {
      return
    }
    let isBottleneck = backbone["depth"]?.size.map { $0 >= 50 } ?? false
    if let depth = backbone["depth"]?.size {
      add("depth", "\(depth)", "\(key): type \(type), depth \(depth)")
    }
    if isBottleneck, dialect.hasPrefix("mm") || dialect == "torchvision" || dialect == "timm" {
      switch backbone["style"]?.string ?? "pytorch" {
      case "pytorch":
        add(
          "block_stride", "on the 3×3 convolution (v1.5)",
          "\(key): style \(backbone["style"] == nil ? "not given, pytorch" : "pytorch")",
          .blockStride(.second))
      case "caffe":
        add("block_stride", "on the first 1×1 convolution (v1)", "\(key): style caffe", .blockStride(.first))
      default: break
      }
    }
    if let dilations = sizes(backbone["dilations"]), dilations.contains(where: { $0 != 1 }) {
      add("output_stride", "by dilation", "\(key): dilations \(dilations)", .other)
    }
    if let strides = sizes(backbone["strides"]) {
      addStrides(strides, "\(key): strides \(strides)")
    }
    if let epsilon = backbone["norm_cfg"]?["eps"]?.double {
      add("epsilon", "\(epsilon)", "\(key): norm_cfg.eps \(epsilon)", .epsilon(epsilon))
    }
    for name in ["img_norm_cfg = dict(", "data_preprocessor=dict(", "data_preprocessor = dict("] {
      guard let start = text.firstRange(of: name),
        let keywords = PythonSource.keywords(text[start.upperBound...])
      else { continue }
      let normalization = JSONValue.object(keywords)
      guard let mean = numbers(normalization["mean"]), let deviation = numbers(normalization["std"]) else {
        continue
      }
      let order = normalization["to_rgb"]?.bool ?? normalization["bgr_to_rgb"]?.bool
      let words =
        (order.map { [$0 ? "RGB" : "BGR"] } ?? []) + ["0 to 255", "mean \(mean)", "deviation \(deviation)"]
      add("preprocessing", words.joined(separator: ", "), "\(key): mean, std")
      break
    }
  }
}
