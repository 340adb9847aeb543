package import DecantBytes
package import DecantTensors

/// The kind of convolution that a weight belongs to. It decides the order of the weight's axes.
package enum ConvolutionKind: String, Sendable, CaseIterable {
  /// In PyTorch: output channels, input channels, space.
  case ordinary
  /// A transposed convolution. In PyTorch: input channels, output channels, space.
  case transposed

  /// Returns, for each axis of a channels-last weight (output channels, space, input channels), the axis in PyTorch.
  package func channelsLast(rank: Int) -> [Int?] {
    let space = Array(2..<rank)
    return self == .ordinary ? [0] + space + [1] : [1] + space + [0]
  }

  /// Returns, for each axis in PyTorch, the axis of a channels-last weight.
  package func channelsFirst(rank: Int) -> [Int?] {
    let space = Array(1..<rank - 1)
    return self == .ordinary ? [0, rank - 1] + space : [rank - 1, 0] + space
  }

  /// The ranks of convolution weights, with one to three dimensions of space.
  package static let ranks = 3...5
}

/// The record of the weights that were turned to channels last: the metadata entry `decant.layout`, the comment
/// `decant.layout=…` of a zip archive, or the file `decant.layout.json` in a folder of arrays.
///
/// The entry is JSON: `{"nhwc": {"ordinary": ["conv1.weight"], "transposed": ["up.weight"]}}`.
package enum ConvolutionRecord {
  /// The key of the metadata entry.
  package static let key = "decant.layout"
  /// The name of the file in a folder of arrays that holds the entry's text.
  package static let fileName = key + ".json"

  /// Returns the text of an entry for these weights.
  package static func text(_ weights: [(name: String, kind: ConvolutionKind)]) -> String {
    let lists = ConvolutionKind.allCases.compactMap { kind -> (key: String, value: JSONValue)? in
      let names = weights.filter { $0.kind == kind }.map { JSONValue.string($0.name) }
      return names.isEmpty ? nil : (key: kind.rawValue, value: .array(names))
    }
    return JSONValue.object([(key: "nhwc", value: .object(lists))]).text
  }

  /// Returns the comment of a zip archive that holds an entry's text.
  package static func comment(_ text: String) -> [UInt8] { Array((key + "=" + text).utf8) }

  /// Returns the entry's text from the comment of a zip archive; nil for other comments.
  static func text(inComment comment: [UInt8]) -> String? {
    guard comment.starts(with: (key + "=").utf8) else { return nil }
    return String(validating: comment.dropFirst(key.utf8.count + 1), as: UTF8.self)
  }

  /// Returns one entry with the weights of several, such as those of a checkpoint's shards. An entry that is not
  /// understood is returned as it is.
  static func merged(_ texts: [String]) -> String? {
    guard let first = texts.first, texts.contains(where: { $0 != first }) else { return texts.first }
    var weights: [(name: String, kind: ConvolutionKind)] = []
    var seen: Set<ExactText> = []
    for text in texts {
      guard let kinds = kinds(in: text) else { return text }
      for (name, kind) in kinds where seen.insert(ExactText(name)).inserted { weights.append((name, kind)) }
    }
    return Self.text(weights)
  }

  /// Returns the weights that an entry names; nil when it is not understood.
  private static func kinds(in text: String) -> [(name: String, kind: ConvolutionKind)]? {
    let bytes = Array(text.utf8)
    guard let json = try? JSONValue(parsing: unsafe bytes.span.bytes, depth: 8), let lists = json["nhwc"]
    else {
      return nil
    }
    return ConvolutionKind.allCases.flatMap { kind -> [(name: String, kind: ConvolutionKind)] in
      guard case .array(let names)? = lists[kind.rawValue] else { return [] }
      return names.compactMap { name in name.string.map { ($0, kind) } }
    }
  }

  /// Marks the tensors that an entry names. Returns a warning when the entry cannot be used; otherwise nil.
  static func mark(_ tensors: inout [CheckpointTensor], _ text: String) -> String? {
    guard let named = Self.kinds(in: text) else {
      return "the metadata entry \(key) is not understood: the order of the weights' axes is unknown"
    }
    var kinds: [ExactText: ConvolutionKind] = [:]
    for (name, kind) in named { kinds[ExactText(name)] = kind }
    var count = 0
    for index in tensors.indices {
      guard let kind = kinds[ExactText(tensors[index].name)],
        ConvolutionKind.ranks.contains(tensors[index].tensor.shape.count)
      else { continue }
      tensors[index].turned = kind
      count += 1
    }
    return count == kinds.count
      ? nil
      : "the metadata entry \(key) has \(Format.count(kinds.count - count, "name")) that are not those of convolution weights in the file"
  }
}

extension CheckpointTensor {
  /// Returns this entry's tensor, or another form of it, with the axes in PyTorch's order.
  package func inPyTorchOrder(_ tensor: Tensor) throws(DecantError) -> Tensor {
    guard let turned else { return tensor }
    return try tensor.permuted(turned.channelsFirst(rank: tensor.shape.count))
  }
}

extension Checkpoint {
  /// Returns the weights of the convolutions of a whole module, by path.
  ///
  /// A convolution is an object of PyTorch's classes, or one with their attributes `transposed` and `in_channels`. A
  /// transposed convolution of several groups is left out: its weight has no channels-last order.
  package func moduleConvolutions() -> [[PathKey]: ConvolutionKind] {
    var modules: [[PathKey]: ConvolutionKind] = [:]
    var groups: [[PathKey]: JSONValue] = [:]
    var channels: Set<[PathKey]> = []
    var flags: [[PathKey]: Bool] = [:]
    for object in objects {
      if let name = object.type.split(separator: ".").last, object.type.contains("torch.nn.modules.conv.") {
        switch name {
        case "Conv1d", "Conv2d", "Conv3d": modules[object.path] = .ordinary
        case "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d": modules[object.path] = .transposed
        default: break
        }
      }
      guard case .text(let attribute)? = object.path.last else { continue }
      let owner = Array(object.path.dropLast())
      switch (attribute, object.value) {
      case ("transposed", .bool(let isTransposed)?): flags[owner] = isTransposed
      case ("in_channels", .some): channels.insert(owner)
      case ("groups", let value?): groups[owner] = value
      default: break
      }
    }
    for (path, isTransposed) in flags where channels.contains(path) {
      modules[path] = isTransposed ? .transposed : .ordinary
    }
    var weights: [[PathKey]: ConvolutionKind] = [:]
    for (path, kind) in modules where kind == .ordinary || groups[path] == .integer(1) {
      weights[path + [.text("weight")]] = kind
    }
    return weights
  }
}
