import ArgumentParser
import ByteParsing
import Checkpoints
import Graphs
import Inference
import Tensors

/// Which engine executes a network, and how.
struct EngineOptions: ParsableArguments {
  /// The engines there are.
  enum Engine: String, ExpressibleByArgument, CaseIterable { case reference, onednn }

  @Option(
    help:
      "The engine: onednn, which is fast, or reference, which others are measured against; by default onednn where it can."
  )
  var engine: Engine?
  @Option(
    help: ArgumentHelp(
      "How onednn computes convolutions: exact, or fast, by Winograd's filtering where that is worth it.",
      valueName: "exact|fast"),
    transform: { text in
      guard let numerics = Numerics(rawValue: text) else {
        throw ValidationError("There are exact and fast, not \(text.escapedForDisplay).")
      }
      return numerics
    })
  var numerics: Numerics = .exact

  /// The engine for float32.
  ///
  /// - Throws: ``CheckpointError`` when the engine that was asked for cannot execute the graph.
  func float(_ graph: Graph, _ weights: StateDict, threads: Int) throws -> ChosenEngine<Float> {
    if engine != .reference {
      do throws(InferenceError) {
        let network = try OneDNNNetwork(graph: graph, weights: weights, threads: threads, numerics: numerics)
        return ChosenEngine(
          network: network, description: "onednn engine \(try OneDNNLibrary.version()), \(numerics.rawValue)")
      } catch {
        if engine == .onednn {
          throw CheckpointError("cannot be run by onednn: \(error)", remedy: "Use --engine reference.")
        }
        StandardStreams.note("the reference engine is used: \(error)")
      }
    }
    return try reference(graph, weights, threads: threads)
  }

  /// The engine for float64, which is the reference.
  func double(_ graph: Graph, _ weights: StateDict, threads: Int) throws -> ChosenEngine<Double> {
    if engine == .onednn {
      throw CheckpointError("onednn computes in float32", remedy: "Leave out --float64 or --engine.")
    }
    return try reference(graph, weights, threads: threads)
  }

  private func reference<T: ReferenceScalar>(
    _ graph: Graph, _ weights: StateDict, threads: Int
  ) throws -> ChosenEngine<T> {
    do throws(InferenceError) {
      return ChosenEngine(
        network: try ReferenceNetwork<T>(graph: graph, weights: weights, threads: threads),
        description: "reference engine")
    } catch { throw CheckpointError("cannot be run: \(error)") }
  }
}

/// A network ready to run, and what to call its engine.
struct ChosenEngine<T: ReferenceScalar> {
  let network: any NetworkEngine<T>
  let description: String
}
