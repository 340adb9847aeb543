internal import DecantBytes
package import DecantGraphs
public import DecantTensors

/// The differences between a file's tensors and those of the expected network.
public struct ResNetVerification: Sendable {
  /// A tensor whose shape or dtype is not the expected one.
  public struct Mismatch: Sendable, Equatable {
    /// The kinds of mismatch.
    public enum Difference: Sendable, Equatable {
      case shape(expected: [Int], found: [Int])
      /// Another kind of number; `expected` describes it in words.
      case type(expected: String, found: DType)
    }
    /// The name in the file.
    public let name: String
    /// The expected and the found shape or dtype.
    public let difference: Difference
  }
  /// A tensor with elements that are NaN or infinite.
  public struct NonFinite: Sendable, Equatable {
    /// The name in the file.
    public let name: String
    /// The number of such elements.
    public let count: Int

    package init(name: String, count: Int) { (self.name, self.count) = (name, count) }
  }

  /// A parameter of the network that the file lacks.
  public struct Missing: Sendable, Equatable {
    /// The name it would have in the file.
    public let name: String
    /// The shape it would have.
    public let shape: [Int]
    /// Its canonical name.
    package let canonical: String
  }

  /// The missing parameters, without those that PyTorch's strict loading does not need.
  public let missing: [Missing]
  /// The names in the network's modules that the network does not have.
  public let unexpected: [String]
  /// The names of tensors that do not belong to the network: outside its prefix or in none of its modules.
  public let beside: [String]
  /// The tensors whose shape or dtype differs from the network's.
  public let mismatched: [Mismatch]
  /// The tensors with elements that are NaN or infinite.
  public let nonFinite: [NonFinite]
  /// The number of tensors that match the network in name, shape and kind of dtype.
  public let matched: Int
  /// The number of optional tensors that are absent: batch norms' `num_batches_tracked`.
  public let absentOptional: Int
  /// The names of `num_batches_tracked` of another type or shape than PyTorch writes. Strict loading accepts them.
  package let unusualCounters: [String]
  /// The number of `num_batches_tracked` that the network has, in the file or not.
  package let counterCount: Int
  /// The names of all tensors of the state dict.
  private let names: [String]
  /// The findings about whole blocks; their tensors are in ``missing`` or ``unexpected`` too.
  package let blocks: [BlockFinding]

  /// True when nothing is missing, unexpected, mismatched or non-finite.
  public var isMatch: Bool {
    missing.isEmpty && unexpected.isEmpty && mismatched.isEmpty && nonFinite.isEmpty
  }

  /// Compares a network's tensors with the parameters of a graph.
  ///
  /// - Parameters:
  ///   - naming: the tensors and their names; names that the dialect does not know may be unexpected.
  ///   - standsAlone: true when the file should hold nothing else; all other tensors are then unexpected.
  ///   - ignoresHead: true to take the tensors of a head that the network does not have for other tensors.
  ///   - nonFinite: the tensors with elements that are NaN or infinite, when these were counted.
  /// O(parameters); reads no elements.
  package init(
    of naming: ResNetTensorNameMap, against graph: Graph, standsAlone: Bool = false,
    ignoresHead: Bool = false, nonFinite: [NonFinite] = []
  ) {
    var missing: [Missing] = []
    var mismatched: [Mismatch] = []
    var known: Set<String> = []
    var matched = 0
    var absentOptional = 0
    var unusualCounters: [String] = []
    // The first parts of the names after the prefix, as the file spells them.
    var modules: Set<Substring> = []
    for parameter in graph.parameters {
      let name = naming.spelling(of: parameter.name)
      known.insert(parameter.name)
      modules.insert(Self.module(name, behind: naming.prefix))
      guard let tensor = naming.tensors[parameter.name] else {
        if parameter.isOptional {
          // A counter that is absent with its whole norm is no finding of its own.
          let norm = HeadChain.container(parameter.name)
          if naming.tensors["\(norm).weight"] != nil || naming.tensors["\(norm).running_mean"] != nil {
            absentOptional += 1
          }
        } else {
          missing.append(Missing(name: name, shape: parameter.shape, canonical: parameter.name))
        }
        continue
      }
      if parameter.role == .batchCounter, tensor.elementCount == 1,
        [.signedInteger, .unsignedInteger, .floatingPoint].contains(tensor.dtype.kind)
      {
        matched += 1
        if !tensor.shape.isEmpty || tensor.dtype.kind != .signedInteger { unusualCounters.append(name) }
      } else if tensor.shape != parameter.shape {
        mismatched.append(
          Mismatch(name: name, difference: .shape(expected: parameter.shape, found: tensor.shape)))
      } else if let expected = ResNetVerification.expectedType(parameter.role, tensor.dtype) {
        mismatched.append(
          Mismatch(name: name, difference: .type(expected: expected, found: tensor.dtype)))
      } else {
        matched += 1
      }
    }
    self.missing = missing
    var (unexpected, beside): ([String], [String]) = ([], [])
    var unexpectedCanonical: [String] = []
    for entry in naming.entries where entry.canonical.map({ !known.contains($0) }) ?? true {
      // A tensor with a name in the dialect belongs to the network, even if the graph does not have it.
      let isHead = ["fc.", "head.", "attnpool."].contains { entry.canonical?.hasPrefix($0) ?? false }
      let isOwn =
        standsAlone || entry.canonical != nil && !(isHead && ignoresHead)
        || entry.name.utf8.starts(with: naming.prefix.utf8)
          && modules.contains(Self.module(entry.name, behind: naming.prefix))
      if isOwn {
        unexpected.append(entry.name)
        unexpectedCanonical.append(entry.canonical ?? "")
      } else {
        beside.append(entry.name)
      }
    }
    (self.unexpected, self.beside) = (unexpected, beside)
    names = naming.entries.map(\.name)
    blocks = BlockFinding.findings(
      missing: missing, unexpected: zip(unexpected, unexpectedCanonical).map { ($0, $1) },
      parameters: graph.parameters)
    self.unusualCounters = unusualCounters
    counterCount = graph.parameters.count { $0.role == .batchCounter }
    self.mismatched = mismatched
    self.nonFinite = nonFinite
    self.matched = matched
    self.absentOptional = absentOptional
  }

  /// Patterns that match every unexpected tensor and no tensor of the network. O(tensors²) at most.
  package var unexpectedPatterns: [String] {
    let strange = Set(unexpected.map { ExactText($0) })
    return Self.patterns(
      matching: unexpected, butNot: names.filter { !strange.contains(ExactText($0)) })
  }

  /// Returns the first part of a name after a prefix.
  private static func module(_ name: String, behind prefix: String) -> Substring {
    Substring(
      name.utf8.dropFirst(prefix.utf8.count).prefix { $0 != UInt8(ascii: ".") && $0 != UInt8(ascii: "/") })
  }

  /// Returns the expected kind of number if a parameter has another kind; otherwise nil.
  private static func expectedType(_ role: Parameter.Role, _ dtype: DType) -> String? {
    if role == .opaque { return nil }
    if role == .batchCounter { return "a number" }
    return dtype.kind == .floatingPoint ? nil : "a floating-point type"
  }
}
