internal import CStandard
internal import DecantBytes
internal import DecantImages
internal import DecantInference
internal import DecantResNets

/// The output of the network for one image.
struct ImageResult<T: ReferenceScalar> {
  let image: InputImage
  let output: ResNetOutput
  let values: [T]

  /// A class, or a feature when the network has no head.
  struct Entry {
    let place: Int
    let value: T
    /// The class's probability; nil where the value is one, and where it has none.
    let probability: Double?
  }

  /// Returns the entries with the largest values. Equal values keep their order. Probabilities are the softmax of all
  /// logits.
  func top(_ count: Int) -> [Entry] {
    let largest = values.reduce(-T.infinity) { max($0, $1) }
    let powers = values.map { cstandard_exp(Double($0) - Double(largest)) }
    let sum = powers.reduce(0, +)
    // softmax(log p) is p.
    let hasProbabilities = [.logits, .logProbabilities].contains(output)
    return values.indices.sorted { (values[$1], $0) < (values[$0], $1) }.prefix(count)
      .map { Entry(place: $0, value: values[$0], probability: hasProbabilities ? powers[$0] / sum : nil) }
  }

  /// The probability that one logit stands for.
  static func sigmoid(_ logit: T) -> Double { 1 / (1 + cstandard_exp(-Double(logit))) }
}

extension InputImage {
  /// Returns a description of the preprocessing steps, or nil when there were none.
  func history(_ preprocessing: Preprocessing) -> String? {
    var parts: [String] = []
    if let picture {
      parts.append("\(picture.format.rawValue) of \(picture.storedSize.width)×\(picture.storedSize.height)")
      if picture.orientation != .upright {
        parts.append(
          "orientation \(picture.orientation.rawValue), "
            + (picture.isOrientationApplied ? picture.orientation.correction : "not applied"))
      }
      parts += picture.notes
      if preprocessing == .imagenetEval { parts.append("to \(width)×\(height)") }
    }
    if tiles > 1 { parts.append("mean of \(tiles) tiles") }
    return parts.isEmpty ? nil : parts.joined(separator: "; ")
  }

  /// The members of the image's object in the output of `--json`.
  var json: [(key: String, value: JSONValue)] {
    func size(_ height: Int, _ width: Int) -> JSONValue {
      .object([
        (key: "height", value: .integer(Int64(height))), (key: "width", value: .integer(Int64(width))),
      ])
    }
    var members: [(key: String, value: JSONValue)] = [(key: "file", value: .string(file))]
    if let index { members.append((key: "index", value: .integer(Int64(index)))) }
    if let picture {
      members += [
        (key: "format", value: .string(picture.format.rawValue)),
        (key: "size_before", value: size(picture.storedSize.height, picture.storedSize.width)),
        (
          key: "orientation",
          value: .object([
            (key: "value", value: .integer(Int64(picture.orientation.rawValue))),
            (key: "applied", value: .bool(picture.isOrientationApplied)),
            (key: "meaning", value: .string(picture.orientation.correction)),
          ])
        ),
        (key: "notes", value: .array(picture.notes.map { .string($0) })),
      ]
    }
    members.append((key: "size_after", value: size(height, width)))
    if tiles > 1 { members.append((key: "tiles", value: .integer(Int64(tiles)))) }
    return members
  }
}

extension ResNetOutput {
  /// The name of one value for people.
  var valueName: String {
    switch self {
    case .logits: "logit"
    case .features: "feature"
    case .probabilities: "probability"
    case .logProbabilities: "log probability"
    case .output: "output"
    }
  }

  /// The key of one value in the output of `--json`.
  var valueKey: String { self == .features ? "logit" : valueName.replacing(" ", with: "_") }
}
