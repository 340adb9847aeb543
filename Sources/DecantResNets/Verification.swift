package import DecantBytes
package import DecantGraphs
public import DecantTensors

/// Every difference between tensors and the network they should be.
public struct ResNetVerification: Sendable {
  /// A tensor with another shape or type.
  public struct Mismatch: Sendable, Equatable {
    /// The kinds of mismatch.
    public enum Difference: Sendable, Equatable {
      case shape(expected: [Int], found: [Int])
      /// The kind of number; `expected` says it in words.
      case type(expected: String, found: DType)
    }
    /// The name in the file.
    public let name: String
    /// The shape or the type that was expected, and the one that was found.
    public let difference: Difference
  }
  /// A tensor with elements that are NaN or infinite.
  public struct NonFinite: Sendable, Equatable {
    /// The name in the file.
    public let name: String
    /// The number of such elements.
    public let count: Int
  }

  /// A parameter that the network has and the tensors lack.
  public struct Missing: Sendable, Equatable {
    /// The name it would have in the file.
    public let name: String
    /// The shape it would have.
    public let shape: [Int]
  }

  /// Parameters that are missing. Those that PyTorch's strict loading does not need are not counted.
  public let missing: [Missing]
  /// Names below the network's prefix that the network does not have.
  public let unexpected: [String]
  /// Names of tensors that do not belong to the network: outside its prefix, or below none of its modules.
  public let beside: [String]
  /// Tensors with another shape or type than the network's.
  public let mismatched: [Mismatch]
  /// Tensors with elements that are NaN or infinite.
  public let nonFinite: [NonFinite]
  /// The number of tensors with the network's names and shapes.
  public let matched: Int
  /// The number of optional tensors that are absent, such as `num_batches_tracked` before PyTorch 0.4.1.
  public let absentOptional: Int

  /// Nothing is missing, unexpected, mismatched or non-finite.
  public var isMatch: Bool {
    missing.isEmpty && unexpected.isEmpty && mismatched.isEmpty && nonFinite.isEmpty
  }

  /// Compares the tensors of a network with a graph's parameters.
  ///
  /// - Parameters:
  ///   - naming: the tensors and their names; what the dialect does not know is unexpected.
  ///   - standsAlone: whether nothing may stand beside the network; what does is then unexpected.
  ///   - readsNumbers: whether every floating-point number of the state dict is read, to find those that are not finite.
  /// - Throws: whatever reading the data throws. O(bytes), or O(parameters) when no numbers are read.
  package init(
    of naming: ResNetNaming, against graph: Graph, standsAlone: Bool = false, readsNumbers: Bool = true
  ) throws {
    var missing: [Missing] = []
    var mismatched: [Mismatch] = []
    var known: Set<String> = []
    var matched = 0
    var absentOptional = 0
    // The modules just behind the prefix, as the file spells them.
    var modules: Set<Substring> = []
    for parameter in graph.parameters {
      let name = naming.spelling(of: parameter.name)
      known.insert(parameter.name)
      modules.insert(Self.module(name, behind: naming.prefix))
      guard let tensor = naming.tensors[parameter.name] else {
        if parameter.isOptional {
          absentOptional += 1
        } else {
          missing.append(Missing(name: name, shape: parameter.shape))
        }
        continue
      }
      if tensor.shape != parameter.shape {
        mismatched.append(
          Mismatch(name: name, difference: .shape(expected: parameter.shape, found: tensor.shape)))
      } else if let expected = ResNetVerification.expectedType(parameter.role, tensor.dtype) {
        mismatched.append(
          Mismatch(name: name, difference: .type(expected: expected, found: tensor.dtype)))
      } else {
        matched += 1
      }
    }
    var nonFinite: [NonFinite] = []
    for entry in naming.entries where readsNumbers && entry.tensor.storage.content != nil {
      let count = try entry.tensor.countNonFinite()
      if count > 0 { nonFinite.append(NonFinite(name: entry.name, count: count)) }
    }
    self.missing = missing
    var (unexpected, beside): ([String], [String]) = ([], [])
    for entry in naming.entries where entry.canonical.map({ !known.contains($0) }) ?? true {
      // What the dialect has a name for is the network's, or none of it is.
      let isOwn =
        standsAlone || entry.canonical != nil
        || entry.name.utf8.starts(with: naming.prefix.utf8)
          && modules.contains(Self.module(entry.name, behind: naming.prefix))
      if isOwn { unexpected.append(entry.name) } else { beside.append(entry.name) }
    }
    (self.unexpected, self.beside) = (unexpected, beside)
    self.mismatched = mismatched
    self.nonFinite = nonFinite
    self.matched = matched
    self.absentOptional = absentOptional
  }

  /// The first step of a name behind a prefix.
  private static func module(_ name: String, behind prefix: String) -> Substring {
    Substring(name.utf8.dropFirst(prefix.utf8.count)).prefix { $0 != "." && $0 != "/" }
  }

  /// What a parameter's numbers should be, when they are something else.
  private static func expectedType(_ role: Parameter.Role, _ dtype: DType) -> String? {
    if role == .opaque { return nil }
    if role == .batchCounter { return dtype.kind == .signedInteger ? nil : "an integer type" }
    return dtype.kind == .floatingPoint ? nil : "a floating-point type"
  }
}

extension ResNetVerification {

  /// Checks that the weights are the network's.
  ///
  /// - Throws: ``DecantError`` of code `mismatch` that lists the differences, the first few of each kind.
  package func requireMatch(
    _ architecture: String?, file: String?, mostListed: Int = .max
  ) throws(DecantError) {
    guard !isMatch else { return }
    func shown(_ shape: [Int]) -> String {
      shape.isEmpty ? "scalar" : shape.map(String.init).joined(separator: "×")
    }
    let kinds = [
      ("missing", missing.map { "\($0.name.escapedForDisplay) \(shown($0.shape))" }),
      ("unexpected", unexpected.map(\.escapedForDisplay)),
      (
        "mismatched",
        mismatched.map { mismatch in
          switch mismatch.difference {
          case .shape(let expected, let found):
            "\(mismatch.name.escapedForDisplay) has \(shown(found)) and should have \(shown(expected))"
          case .type(let expected, let found):
            "\(mismatch.name.escapedForDisplay) is \(found.rawValue) and should be \(expected)"
          }
        }
      ),
      ("with non-finite numbers", nonFinite.map { "\($0.name.escapedForDisplay) (\($0.count))" }),
    ]
    let lists = kinds.filter { !$0.1.isEmpty }.map { kind, items in
      "\(items.count) \(kind): " + items.prefix(mostListed).joined(separator: ", ")
        + (items.count > mostListed ? " and \(items.count - mostListed) more" : "")
    }
    throw DecantError(
      .mismatch,
      "the weights are not those of \(architecture ?? "the network"): " + lists.joined(separator: "; "),
      file: file, advice: .verify)
  }
}
