public import Graphs
public import Tensors

extension ResNet {
  /// What differs between a state dict and the network it should be: every finding, not the first.
  public struct Verification: Sendable {
    /// A tensor that is there and not as expected.
    public struct Mismatch: Sendable, Equatable {
      /// What differs.
      public enum Difference: Sendable, Equatable {
        case shape(expected: [Int], found: [Int])
        /// The kind of number; `expected` says it in words.
        case type(expected: String, found: DType)
      }
      public let name: String
      public let difference: Difference
    }
    /// A tensor with numbers that are infinite or not a number.
    public struct NonFinite: Sendable, Equatable {
      public let name: String
      public let count: Int
    }

    /// What was taken off the front of every name before comparing.
    public let prefix: String
    /// Parameters the network has and the state dict lacks; those it may lack are not counted.
    public let missing: [Parameter]
    /// Names the network has no use for.
    public let unexpected: [String]
    /// Tensors of another shape or kind of number.
    public let mismatched: [Mismatch]
    public let nonFinite: [NonFinite]
    /// Tensors whose shape is the network's.
    public let matched: Int
    /// Optional tensors that are absent, such as `num_batches_tracked` before PyTorch 0.4.1.
    public let absentOptional: Int

    /// Whether the state dict is the network's.
    public var isMatch: Bool {
      missing.isEmpty && unexpected.isEmpty && mismatched.isEmpty && nonFinite.isEmpty
    }

    /// Compares a state dict with a graph's parameters.
    ///
    /// - Parameters:
    ///   - prefix: what stands before every name; names without it are unexpected.
    ///   - readsNumbers: whether every floating-point number is read, to find those that are not finite.
    /// - Throws: whatever reading the data throws. O(bytes), or O(parameters) when no numbers are read.
    public init(of stateDict: StateDict, against graph: Graph, prefix: String, readsNumbers: Bool = true)
      throws
    {
      var missing: [Parameter] = []
      var mismatched: [Mismatch] = []
      var known: Set<String> = []
      var matched = 0
      var absentOptional = 0
      for parameter in graph.parameters {
        let name = prefix + parameter.name
        known.insert(name)
        guard let tensor = stateDict[name] else {
          if parameter.isOptional { absentOptional += 1 } else { missing.append(parameter) }
          continue
        }
        if tensor.shape != parameter.shape {
          mismatched.append(
            Mismatch(name: name, difference: .shape(expected: parameter.shape, found: tensor.shape)))
        } else if let expected = Verification.expectedType(parameter.role, tensor.dtype) {
          mismatched.append(
            Mismatch(name: name, difference: .type(expected: expected, found: tensor.dtype)))
        } else {
          matched += 1
        }
      }
      var nonFinite: [NonFinite] = []
      for entry in stateDict.entries where readsNumbers && entry.tensor.storage.content != nil {
        let count = try entry.tensor.countNonFinite()
        if count > 0 { nonFinite.append(NonFinite(name: entry.name, count: count)) }
      }
      self.prefix = prefix
      self.missing = missing
      self.unexpected = stateDict.names.filter { !known.contains($0) }
      self.mismatched = mismatched
      self.nonFinite = nonFinite
      self.matched = matched
      self.absentOptional = absentOptional
    }

    /// What a parameter's numbers should be, when they are something else.
    private static func expectedType(_ role: Parameter.Role, _ dtype: DType) -> String? {
      if role == .batchCounter { return dtype.kind == .signedInteger ? nil : "an integer type" }
      return dtype.kind == .floatingPoint ? nil : "a floating-point type"
    }
  }
}
