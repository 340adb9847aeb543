internal import ArgumentParser
internal import DecantBytes
internal import DecantInference
internal import DecantNetworks

/// The options that select the engine which runs a network, and its settings.
struct EngineOptions: ParsableArguments {
  /// The available engines.
  enum Engine: String, ExpressibleByArgument, CaseIterable { case reference, onednn, both }

  @Option(
    help: ArgumentHelp(
      "onednn (fast), reference (exact) or both",
      discussion: "By default onednn where it is possible. both compares the two.", valueName: "name"))
  var engine: Engine?
  @Option(
    help: ArgumentHelp(
      "How onednn computes convolutions", discussion: "fast uses Winograd convolutions where they pay off.",
      valueName: "exact|fast"), completion: .list(["exact", "fast"]),
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

  /// Returns the chosen engines.
  func choice(threads: Int) -> EngineChoice {
    let engines: EngineChoice.Engines =
      switch engine {
      case nil: .fastest
      case .onednn: .oneDNN
      case .reference: .reference
      case .both: .both
      }
    return EngineChoice(engines, numerics: numerics, threads: threads)
  }

  /// Returns the engines for float32, with the network's weights. Prints a note when they differ from the request.
  ///
  /// - Parameter areFinite: true when the weights were already searched for NaN and infinity, and have none.
  func float(_ network: ResolvedNetwork, areFinite: Bool, threads: Int) throws -> [BoundEngine<Float>] {
    var engines = try choice(threads: threads).float(
      network.graph, network.parameters, areFinite: areFinite, note: StandardStreams.note)
    if engines[0].description.numerics == .fast, !(try OneDNNLibrary.hasWinograd()) {
      StandardStreams.note(
        "--numerics fast has no effect: oneDNN has no Winograd convolutions for this processor")
      var description = engines[0].description
      description.numerics = .exact
      engines[0] = BoundEngine(network: engines[0].network, description: description)
    }
    return engines
  }

  /// Returns the engine for float64, which is always the reference engine.
  func double(_ network: ResolvedNetwork, threads: Int) throws(DecantError) -> BoundEngine<Double> {
    if engine == .onednn || engine == .both {
      throw DecantError(
        .invalidArgument, "the engine onednn supports only float32",
        remedy: "Leave out --float64 or --engine.")
    }
    return try choice(threads: threads).reference(network.graph, network.parameters)
  }
}
