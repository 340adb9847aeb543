internal import ArgumentParser
internal import DecantBytes
internal import DecantConversion
internal import DecantImages
internal import DecantResNets
internal import DecantTensors

/// The values of options. Each function is the `transform` of an option: it parses the text of the command line, or
/// throws the sentence that says which values there are.
enum OptionValue {
  /// Returns a function that parses a whole number from a range.
  ///
  /// - Parameter rule: the sentence up to the comma, such as "--batch is between 1 and 256".
  static func integer<Values: RangeExpression<Int> & Sendable>(
    in range: Values, _ rule: String
  ) -> @Sendable (String) throws -> Int {
    { text in
      guard let value = Int(text), range.contains(value) else { throw refusal(rule, text) }
      return value
    }
  }

  /// Parses the number of outputs of a network.
  static func classes(_ text: String) throws -> Int {
    try integer(in: 0..., "--num-classes is at least 0 (no head)")(text)
  }

  static func stride0(_ text: String) throws -> Int { try integer(in: 1...2, "--stride0 is 1 or 2")(text) }

  static func outputStride(_ text: String) throws -> Int {
    guard let value = Int(text), ResNetConfiguration.outputStrides.contains(value) else {
      throw refusal("--output-stride is 1, 2, 4, 8, 16 or 32", text)
    }
    return value
  }

  /// Parses the strides of the stages, such as `1,2,2,2`.
  static func stageStrides(_ text: String) throws -> [Int] {
    let strides = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
    guard strides.allSatisfy({ 1...16 ~= $0 }), strides.count <= 16 else {
      throw refusal("--stage-strides is a list of numbers from 1 to 16, such as 1,2,2,2", text)
    }
    return strides
  }

  static func epsilon(_ text: String) throws -> Double {
    guard let value = Double(text), value >= 0, value < 1 else {
      throw refusal("--epsilon is between 0 and 1", Double(text).map { "\($0)" } ?? text)
    }
    return value
  }

  /// Parses the activations of a head, such as `relu` or `relu,none`.
  static func headActivations(_ text: String) throws -> [ResNetHeadActivation] {
    try text.split(separator: ",", omittingEmptySubsequences: false).map { word in
      guard let activation = ResNetHeadActivation(rawValue: String(word)) else {
        throw refusal("--head-activation is relu, gelu or none, or a list of them", text)
      }
      return activation
    }
  }

  static func architecture(_ name: String) throws -> ResNetArchitecture {
    guard let architecture = ResNetArchitecture.named(name) ?? ResNetArchitecture.named(loosely: name) else {
      throw unknown(
        "architecture", name, ResNetArchitecture.all.map(\.name),
        "decant identify --architectures lists all \(ResNetArchitecture.all.count).")
    }
    return architecture
  }

  static func dialect(_ name: String) throws -> ResNetDialect {
    guard let dialect = ResNetDialect.named(name) else {
      throw unknown(
        "naming", name, ResNetDialect.all.map(\.name),
        "decant identify --dialects lists all \(ResNetDialect.all.count).")
    }
    return dialect
  }

  static func blockStride(_ text: String) throws -> ResNetBlockStride {
    switch text {
    case "3x3": return .second
    case "1x1": return .first
    default: throw refusal("--block-stride is 3x3 or 1x1", text)
    }
  }

  static func normalization(_ text: String) throws -> ResNetNormalizationChoice {
    if text == "batch" { return .batch }
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0] == "group", let groups = Int(parts[1]), 1...65_536 ~= groups else {
      throw refusal("--normalization is group:NUMBER or batch", text)
    }
    return .group(groups)
  }

  static func stemPooling(_ text: String) throws -> ResNetStemPooling {
    let choices: [ResNetStemPooling] = [.max, .maxOverZeros, .maxOverEdge, .average, .none]
    guard let pooling = choices.first(where: { $0.rawValue == text }) else {
      throw refusal("--stem-pooling is max, 'max over zeros', 'max over the edge', average or none", text)
    }
    return pooling
  }

  static func preprocessing(_ text: String) throws -> Preprocessing {
    guard let preprocessing = Preprocessing(rawValue: text) else {
      throw refusal("--preprocess is imagenet-eval, imagenet-raw or none", text)
    }
    return preprocessing
  }

  /// Parses the dtype of a cast, by PyTorch's name or a usual short one.
  static func castTarget(_ text: String) throws -> DType {
    var name = text.lowercased()[...]
    if name.hasPrefix("torch.") { name = name.dropFirst("torch.".count) }
    let wanted = dtypeAliases[String(name)]?.rawValue ?? String(name)
    guard let dtype = Cast.targets.first(where: { $0.rawValue == wanted }) else {
      let names = Cast.targets.map(\.rawValue)
      throw unknown("dtype", text, names, list(names))
    }
    return dtype
  }

  /// Other names of dtypes: those of PyTorch's methods and of safetensors, and those of its users.
  private static let dtypeAliases: [String: DType] = [
    "half": .float16, "fp16": .float16, "f16": .float16, "bf16": .bfloat16, "float": .float32,
    "fp32": .float32, "f32": .float32, "double": .float64, "fp64": .float64, "f64": .float64,
  ]

  static func format(_ name: String) throws -> OutputFormat {
    guard let format = OutputFormat(rawValue: name) ?? OutputFormat(path: "." + name) else {
      let names = OutputFormat.allCases.map(\.rawValue)
      throw unknown("format", name, names, list(names))
    }
    return format
  }

  static func layout(_ name: String) throws -> ConvolutionLayout {
    guard let layout = ConvolutionLayout(rawValue: name) else {
      throw ValidationError("--layout is nchw or nhwc.")
    }
    return layout
  }

  /// Parses an entry of the metadata, `KEY=VALUE`.
  static func metadata(_ text: String) throws -> (key: String, value: String) {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2, !parts[0].isEmpty else { throw ValidationError("--metadata is KEY=VALUE.") }
    guard !WriteOptions.isReserved(metadataKey: parts[0]) else {
      throw ValidationError(
        "--metadata: the key \(parts[0].escapedForDisplay) is written by the format itself.")
    }
    return (key: parts[0], value: parts[1])
  }

  /// Parses the largest size of a shard, in bytes.
  static func shardSize(_ text: String) throws -> Int {
    guard let byteCount = Format.byteCount(text), byteCount > 0 else {
      throw refusal("--shard-size is a size such as 500MB or 5GB", text)
    }
    return byteCount
  }

  /// Parses the name of a limit and its new value, such as `zipEntries=2`.
  static func limit(_ setting: String) throws -> (name: String, value: Int) {
    let parts = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    if parts.count == 2, !Limits.names.contains(parts[0]),
      let question = NearestName.question(for: parts[0], among: Limits.names)
    {
      throw ValidationError("Unknown limit '\(parts[0].escapedForDisplay)': \(question)")
    }
    guard parts.count == 2, let value = Int(parts[1]), value >= 0, Limits.names.contains(parts[0]) else {
      throw ValidationError(
        "--limit takes NAME=NUMBER, not '\(setting.escapedForDisplay)'. The names are: "
          + Limits.names.joined(separator: ", ") + ".")
    }
    return (parts[0], value)
  }

  /// Returns a function that parses one of `diff`'s tolerances.
  static func tolerance(_ option: String) -> @Sendable (String) throws -> Double {
    { text in
      guard let value = Double(text), value >= 0, value.isFinite else {
        throw ValidationError("\(option) is a finite number of at least 0.")
      }
      return value
    }
  }

  static func substitution(_ expression: String) throws -> NameSubstitution {
    do throws(DecantError) { return try NameSubstitution(expression) } catch {
      throw ValidationError("--rename: \(error.reason).")
    }
  }

  /// Returns the sentence that lists all names.
  private static func list(_ names: [String]) -> String {
    "Use one of" + ": \(names.joined(separator: ", "))."
  }

  /// Returns the error for a name that is none of `names`: the nearest ones, then where all are.
  private static func unknown(
    _ kind: String, _ name: String, _ names: [String], _ list: String
  ) -> ValidationError {
    let question = NearestName.question(for: name, among: names)
    return ValidationError(
      "Unknown \(kind) '\(name.escapedForDisplay)'" + (question.map { ": \($0)" } ?? ".") + " " + list)
  }

  private static func refusal(_ rule: String, _ text: String) -> ValidationError {
    ValidationError("\(rule), not \(text.escapedForDisplay).")
  }
}
