package import DecantBytes
package import DecantGraphs
package import DecantInference
package import DecantTensors

/// The choice of the engines that compute a network, and their settings.
package struct EngineChoice: Sendable {
  /// The engines to use.
  package enum Engines: Sendable {
    /// oneDNN when it is installed and has the network's operators, else the reference.
    case fastest
    /// oneDNN only.
    case oneDNN
    /// The reference only.
    case reference
    /// oneDNN, and the reference to compare it with.
    case both
  }

  package let engines: Engines
  /// The algorithm for oneDNN's convolutions.
  package let numerics: Numerics
  /// The number of threads of one run, 1 to 1024.
  package let threads: Int

  package init(_ engines: Engines = .fastest, numerics: Numerics = .exact, threads: Int) {
    (self.engines, self.numerics, self.threads) = (engines, numerics, threads)
  }

  /// Binds weights to the chosen engines for float32. With several, the first one provides the results. O(bytes).
  ///
  /// - Parameters:
  ///   - areFinite: true when the weights were already searched for NaN and infinity, and have none.
  ///   - note: called with the reason when the reference is used because oneDNN cannot be.
  /// - Throws: ``DecantError``: `libraryMissing`, `unsupportedNetwork`, `outOfMemory`, `invalidArgument` for a number
  ///   of threads that is not possible.
  package func float(
    _ graph: Graph, _ weights: StateDict, areFinite: Bool = false, note: (String) -> Void = { _ in }
  ) throws(DecantError) -> [BoundEngine<Float>] {
    var bound: [BoundEngine<Float>] = []
    var reason: InferenceError?
    if engines != .reference {
      do throws(InferenceError) {
        let network = try OneDNNNetwork(
          graph: graph, weights: weights, threads: threads, numerics: numerics, areFinite: areFinite)
        bound.append(
          BoundEngine(
            network: network,
            description: EngineDescription(
              name: "onednn", version: try OneDNNLibrary.version(), numerics: numerics)))
      } catch {
        if engines != .fastest {
          let mapped = DecantError(error)
          throw mapped.code == .outOfMemory ? mapped : mapped.advising(.useReference)
        }
        reason = error
      }
    }
    if bound.isEmpty || engines == .both {
      if case .libraryMissing = reason, !ReferenceNetwork<Float>.isInstalled {
        throw DecantError(InferenceError.noEngine)
      }
      if let reason { note("using the reference engine: \(reason)") }
      bound.append(try reference(graph, weights))
    }
    return bound
  }

  /// Binds weights to the reference engine, in float32 or float64. O(bytes).
  package func reference<T: ReferenceScalar>(
    _ graph: Graph, _ weights: StateDict
  ) throws(DecantError) -> BoundEngine<T> {
    do throws(InferenceError) {
      return BoundEngine(
        network: try ReferenceNetwork<T>(graph: graph, weights: weights, threads: threads),
        description: EngineDescription(name: "reference"))
    } catch { throw DecantError(error) }
  }
}

/// An engine with the weights of a network, ready to run, and its description.
package struct BoundEngine<T: ReferenceScalar>: Sendable {
  package let network: any NetworkEngine<T>
  package let description: EngineDescription

  package init(network: any NetworkEngine<T>, description: EngineDescription) {
    (self.network, self.description) = (network, description)
  }
}

/// A description of an engine for reports.
package struct EngineDescription: Sendable, CustomStringConvertible {
  package let name: String
  package var version: String?
  package var numerics: Numerics?

  package var description: String {
    [name, "engine", version.map { "\($0)," }, numerics?.rawValue].compactMap(\.self).joined(separator: " ")
  }
}
