internal import DecantBytes
internal import DecantGraphs

/// The geometry of a network in the metadata of a model that Decant wrote, under ``key``.
///
/// The operators of such a model compute exactly this network, so the record settles every fact that shapes cannot show.
package enum GeometryRecord {
  /// The key of the metadata. Its value is a JSON object.
  package static let key = "geometry"

  /// Returns the record of a network, as JSON.
  static func text(of configuration: ResNetConfiguration, epsilons: [String: Double]) -> String {
    var members: [(key: String, value: JSONValue)] = [
      ("stride0", .exact(Int64(configuration.stride0))),
      ("block_stride", .string(configuration.blockStride.rawValue)),
      ("stem_pooling", .string(configuration.stemPooling.rawValue)),
      ("stage_strides", .array(configuration.stages.map { .exact(Int64($0.stride)) })),
      ("output_stride", configuration.outputStride.map { .exact(Int64($0)) } ?? .null),
      ("epsilon", .exact(configuration.epsilon)),
      ("activation", .string(configuration.nonlinearity.rawValue)),
      ("antialiasing", .string(configuration.antialiasing.rawValue)),
      (
        "normalization_groups",
        configuration.usesBatchStatistics
          ? .string("batch") : .exact(Int64(configuration.normalizationGroups))
      ),
      ("weight_standardization", .bool(configuration.hasStandardizedWeights)),
    ]
    if !epsilons.isEmpty {
      members.append(
        (
          "epsilons",
          .object(epsilons.sorted { $0.key < $1.key }.map { (key: $0.key, value: .exact($0.value)) })
        ))
    }
    if case .layers(let layers) = configuration.head {
      let activations = layers.compactMap { layer -> JSONValue? in
        if case .known(let functions) = layer.gap { list(functions) } else { nil }
      }
      members.append(("head_activations", .array(activations)))
      members.append(("head_epsilons", .array(layers.map { .exact($0.epsilon) })))
    }
    members.append(("head_input", list(configuration.headInput)))
    members.append(("output_functions", list(configuration.outputFunctions)))
    return JSONValue.object(members).text
  }

  /// Returns the normalization of a record: the number of groups, or `batch`.
  private static func normalization(_ value: JSONValue) -> ResNetNormalizationChoice? {
    if value.string == "batch" { return .batch }
    return value.size.flatMap { $0 > 0 ? .group($0) : nil }
  }

  /// Returns functions as a list of their names.
  private static func list(_ functions: [VectorFunction]) -> JSONValue {
    .array(functions.map { .string($0.text) })
  }

  /// Returns the functions of a list of names; nil when one is not known.
  private static func functions(_ list: JSONValue) -> [VectorFunction]? {
    guard let names = list.array, names.count <= 64 else { return nil }
    let functions = names.compactMap { $0.string.flatMap(VectorFunction.init) }
    return functions.count == names.count ? functions : nil
  }

  /// Returns the settings of a record, by the names of the facts; nil when it is not one that this version writes.
  static func settings(_ content: JSONValue) -> [(name: String, setting: ResNetEvidence.Setting)]? {
    guard let stride0 = content["stride0"]?.size, 1...8 ~= stride0,
      let blockStride = content["block_stride"]?.string.flatMap(ResNetBlockStride.init),
      let pooling = content["stem_pooling"]?.string.flatMap(ResNetStemPooling.init),
      let strides = content["stage_strides"]?.array?.map(\.size), strides.count <= 64,
      strides.allSatisfy({ $0.map { 1...16 ~= $0 } ?? false }),
      let outputStride = content["output_stride"], outputStride == .null || outputStride.size != nil,
      let epsilon = content["epsilon"]?.double, epsilon >= 0, epsilon.isFinite,
      let nonlinearity = content["activation"]?.string.flatMap(ResNetNonlinearity.init),
      let antialiasing = content["antialiasing"]?.string.flatMap(ResNetAntialiasing.init),
      let normalization = content["normalization_groups"].flatMap(Self.normalization),
      let isStandardized = content["weight_standardization"]?.bool
    else { return nil }
    var settings: [(name: String, setting: ResNetEvidence.Setting)] = [
      ("stride0", .stride0(stride0)), ("block_stride", .blockStride(blockStride)),
      ("max_pool", .stemPooling(pooling)), ("stage_strides", .stageStrides(strides.compactMap(\.self))),
      ("output_stride", .outputStride(outputStride.size)), ("activation", .nonlinearity(nonlinearity)),
      ("antialiasing", .antialiasing(antialiasing)), ("normalization", .normalization(normalization)),
      ("weight_standardization", .hasStandardizedWeights(isStandardized)),
    ]
    if case .object(let members)? = content["epsilons"] {
      let epsilons = members.compactMap { member in member.value.double.map { (member.key, $0) } }
      settings.append(("epsilon", .epsilons(Dictionary(epsilons, uniquingKeysWith: { first, _ in first }))))
    } else {
      settings.append(("epsilon", .epsilon(epsilon)))
    }
    if let names = content["head_activations"]?.array {
      let activations = names.compactMap(functions)
      guard activations.count == names.count else { return nil }
      if !activations.isEmpty { settings.append(("head_activation", .headActivations(activations))) }
    }
    for (key, name, setting) in [
      ("head_input", "head_input", ResNetEvidence.Setting.headInput),
      ("output_functions", "output_activation", ResNetEvidence.Setting.outputFunctions),
    ] {
      guard let value = content[key] else { continue }
      guard let functions = functions(value) else { return nil }
      settings.append((name, setting(functions)))
    }
    if let numbers = content["head_epsilons"]?.array?.map(\.double) {
      let epsilons = numbers.enumerated().compactMap { index, number in number.map { (index, $0) } }
      settings.append(("head_epsilon", .headEpsilons(Dictionary(uniqueKeysWithValues: epsilons))))
    }
    return settings
  }
}

extension ResNetIdentification {
  /// The record of the network to compute with, for a model that contains its operators; nil when a reader could not
  /// rebuild the network from its weights and the record.
  package var geometryRecord: String? {
    guard var rebuilt = try? ResNetConfiguration(shapesOf: naming) else { return nil }
    let text = GeometryRecord.text(of: configuration, epsilons: epsilons)
    guard let content = try? JSONValue(parsing: unsafe Array(text.utf8).span.bytes, depth: 8),
      let settings = GeometryRecord.settings(content)
    else { return nil }
    for (_, setting) in settings { setting.apply(to: &rebuilt) }
    if configuration.classes == 0 { (rebuilt.head, rebuilt.classes) = (configuration.head, 0) }
    return rebuilt == configuration ? text : nil
  }
}
