internal import DecantBytes
internal import DecantCheckpoints
internal import DecantNetworks
internal import DecantResNets

/// Notes on standard error about a network that was read from a file.
extension ResolvedNetwork {
  /// Prints the notes on the names and settings that were recognised and assumed.
  ///
  /// - Parameter listsDefaults: false when the defaults are not used. JSON has them as a member.
  func printNotes(listsDefaults: Bool) {
    for warning in identification.warnings {
      StandardStreams.warning(warning.commandText.escapedForDisplay)
    }
    let naming = identification.naming
    if naming.dialect != ResNetDialect.all[0] {
      StandardStreams.note("naming: \(naming.dialect.name)")
    }
    if !naming.prefix.isEmpty {
      StandardStreams.note("ignoring the prefix \(naming.prefix.quoted)")
    }
    for (place, items) in identification.read.byPlace {
      let facts = items.map { "\($0.name) \(identification.configuration.text($0.value))" }
        .joined(separator: "; ")
      StandardStreams.note("read from \(place): \(facts)".escapedForDisplay)
    }
    if listsDefaults, !Presentation.current.isJSON { noteDefaults() }
  }

  /// Prints a note on the defaults that are used because the file does not hold the values.
  private func noteDefaults() {
    let assumed = identification.assumed
    // Defaults of the head are rare, and always shown.
    let listed = assumed.filter {
      Presentation.current.isVerbose || assumed.count == 1 || $0.name.hasPrefix("head_")
        || $0.name == "output_activation"
    }
    guard !assumed.isEmpty else { return }
    let list = listed.map { $0.text(of: identification.configuration) }
      .map { "\($0.name) \($0.value)" }.joined(separator: "; ")
    StandardStreams.note(
      Format.count(assumed.count, "default") + " used" + (list.isEmpty ? "" : ": " + list)
        + (listed.count == assumed.count ? "" : "; --verbose lists them"))
  }

  /// Prints the warnings of the checkpoint that holds the network.
  func printWarnings() {
    for warning in file.part?.checkpoint.warnings ?? [] { StandardStreams.warning(warning) }
  }
}

extension ResNetVerification {
  /// Prints a note on the tensors of the file that are not part of the network.
  func noteOtherTensors() {
    guard let first = beside.first else { return }
    StandardStreams.note(
      "note: \(Format.count(beside.count, "other tensor")), such as \(first.escapedForDisplay), \(beside.count == 1 ? "is" : "are") not part of the network"
    )
  }
}

extension SetAsideTensors {
  /// The number of tensors of each kind that were set aside.
  var json: JSONValue {
    .object(auxiliary.map { (key: $0.kind.rawValue, value: .exact(Int64($0.names.count))) })
  }
}

extension ResNetWarning {
  /// The warning as a clause that names settings by their options.
  var commandText: String {
    if case .contradicted(let setting, let value, _) = self {
      text(naming: "\(setting.option) \(value)")
    } else {
      description
    }
  }
}

extension ResNetConfiguration {
  /// Returns a fact's value for people: the number of an output stride that is not set, else the same text.
  func text(_ value: String) -> String {
    guard value == Self.undilatedOutputStride, let stride = totalStride else { return value }
    return "\(stride) (no dilation)"
  }
}

extension ResNetIdentification.Fact {
  /// The name and value for people, such as "stem stride" and "2".
  func text(of configuration: ResNetConfiguration) -> (name: String, value: String) {
    (name == "stride0" ? "stem stride" : name.replacing("_", with: " "), configuration.text(value))
  }
}

extension [ResNetIdentification.Fact] {
  /// The facts as a JSON object, with whole numbers as JSON numbers. Of two with one name the first counts.
  var json: JSONValue {
    var names: Set<String> = []
    return .object(
      filter { names.insert($0.name).inserted }.map {
        (key: $0.name, value: Int64($0.value).map { .integer($0) } ?? .string($0.value))
      })
  }

  /// The facts from evidence grouped by its location, the strongest source first.
  var byPlace: [(place: String, facts: Self)] {
    var found: [(place: String, facts: Self)] = []
    for fact in self {
      guard case .evidence(_, let place, _) = fact.origin else { continue }
      if let known = found.firstIndex(where: { $0.place == place }) {
        found[known].facts.append(fact)
      } else {
        found.append((place, [fact]))
      }
    }
    return found
  }
}
