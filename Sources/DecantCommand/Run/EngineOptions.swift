import ArgumentParser
import DecantBytes
import DecantCheckpoints
import DecantGraphs
import DecantInference
import DecantTensors

/// The options that select the engine which runs a network, and its settings.
struct EngineOptions: ParsableArguments {
  /// The available engines.
  enum Engine: String, ExpressibleByArgument, CaseIterable { case reference, onednn, both }

  @Option(
    help:
      "The engine: onednn (fast), reference (slower, exact) or both (compares them). Default: onednn where possible."
  )
  var engine: Engine?
  @Option(
    help: ArgumentHelp(
      "How onednn computes convolutions: exact, or fast, which uses Winograd convolutions where they pay off.",
      valueName: "exact|fast"),
    transform: { text in
      guard let numerics = Numerics(rawValue: text) else {
        throw ValidationError("--numerics is exact or fast, not '\(text.escapedForDisplay)'.")
      }
      return numerics
    })
  var numerics: Numerics = .exact

  /// One line per engine: its version, or what is missing to use it.
  static var description: [String] {
    var lines: [String] = []
    do throws(InferenceError) { lines.append("engine onednn: oneDNN \(try OneDNNLibrary.version())") } catch {
      lines.append("engine onednn: \(error)")
    }
    do throws(InferenceError) {
      lines.append("engine reference: \(try ReferenceNetwork<Float>.library())")
    } catch { lines.append("engine reference: \(error)") }
    return lines
  }

  func validate() throws {
    if numerics == .fast, engine == .reference {
      throw ValidationError(
        "--numerics applies only to the engine onednn; the reference engine is always exact.")
    }
  }

  /// Returns the engines for float32. With several, the first one provides the results.
  ///
  /// - Throws: ``DecantError`` when the requested engine cannot run the graph.
  func float(_ graph: Graph, _ weights: StateDict, threads: Int) throws -> [SelectedEngine<Float>] {
    var chosen: [SelectedEngine<Float>] = []
    var reason: InferenceError?
    if engine != .reference {
      do throws(InferenceError) {
        let network = try OneDNNNetwork(graph: graph, weights: weights, threads: threads, numerics: numerics)
        chosen.append(
          SelectedEngine(
            network: network,
            note: EngineDescription(name: "onednn", version: try OneDNNLibrary.version(), numerics: numerics))
        )
        if numerics == .fast, !(try OneDNNLibrary.hasWinograd()) {
          StandardStreams.note(
            "--numerics fast has no effect: oneDNN has no Winograd convolutions for this processor")
        }
      } catch {
        if engine != nil {
          let mapped = DecantError(error)
          throw mapped.code == .outOfMemory ? mapped : mapped.advising(.useReference)
        }
        reason = error
      }
    }
    if chosen.isEmpty || engine == .both {
      if case .libraryMissing = reason, !ReferenceNetwork<Float>.isInstalled {
        throw DecantError(InferenceError.noEngine)
      }
      if let reason { StandardStreams.note("using the reference engine: \(reason)") }
      chosen.append(try reference(graph, weights, threads: threads))
    }
    return chosen
  }

  /// Returns the engine for float64, which is always the reference engine.
  func double(_ graph: Graph, _ weights: StateDict, threads: Int) throws -> SelectedEngine<Double> {
    if engine == .onednn || engine == .both {
      throw DecantError(
        .invalidArgument, "the engine onednn supports only float32",
        remedy: "Leave out --float64 or --engine.")
    }
    return try reference(graph, weights, threads: threads)
  }

  func reference<T: ReferenceScalar>(
    _ graph: Graph, _ weights: StateDict, threads: Int
  ) throws -> SelectedEngine<T> {
    do throws(InferenceError) {
      return SelectedEngine(
        network: try ReferenceNetwork<T>(graph: graph, weights: weights, threads: threads),
        note: EngineDescription(name: "reference"))
    } catch { throw DecantError(error) }
  }
}

/// A network ready to run, with a description of its engine.
struct SelectedEngine<T: ReferenceScalar> {
  let network: any NetworkEngine<T>
  let note: EngineDescription
}

/// A description of an engine for reports.
struct EngineDescription: CustomStringConvertible {
  let name: String
  var version: String?
  var numerics: Numerics?

  var description: String {
    [name, "engine", version.map { "\($0)," }, numerics?.rawValue].compactMap(\.self).joined(separator: " ")
  }
}
