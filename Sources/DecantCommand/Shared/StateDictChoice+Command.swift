internal import DecantBytes
internal import DecantCheckpoints
internal import DecantNetworks

/// The note on the state dict that was chosen without a key, and on what it leaves out.
extension StateDictChoice {
  /// Returns a note such as "using model (320 tensors); left out: optimizer (640 tensors), epoch; --key . takes
  /// everything"; nil when nothing is left out and names are those of the file.
  ///
  /// - Parameter hasAttributesOption: true when the command has the option `--with-attributes`.
  func commandText(hasAttributesOption: Bool) -> String? {
    guard !leftOut.isEmpty || attributeCount > 0 || isImplicit else { return nil }
    let key = selection.path.isEmpty ? "the root" : Format.name(selection.path)
    var clauses = ["using \(key) (\(Format.count(selection.tensors.count, "tensor")))"]
    if !leftOut.isEmpty {
      // Every key with tensors is named, and the first of the others.
      let tensors = leftOut.filter { $0.tensorCount > 0 }.prefix(Self.mostWithTensors)
      let shown = tensors + leftOut.filter { $0.tensorCount == 0 }.prefix(Self.mostNamed)
      let names = shown.map { value in
        value.key.escapedForDisplay
          + (value.tensorCount > 0 ? " (\(Format.count(value.tensorCount, "tensor")))" : "")
      }
      let more = leftOut.count > names.count ? " and \(leftOut.count - names.count) more" : ""
      clauses.append("left out: \(names.joined(separator: ", "))\(more); --key . takes everything")
    }
    if attributeCount > 0 {
      clauses.append(
        "left out: \(Format.count(attributeCount, "tensor")) that state_dict() does not have"
          + (hasAttributesOption ? "; --with-attributes takes them" : ""))
    }
    return clauses.joined(separator: "; ")
  }

  /// The numbers of keys that a note names, without and with tensors.
  private static let mostNamed = 8
  private static let mostWithTensors = 100

  /// The values that are left out, as JSON: `[{"key": "optimizer", "tensors": 640}, …]`.
  var leftOutJSON: JSONValue {
    .array(
      leftOut.map {
        .object([
          (key: "key", value: .string($0.key)), (key: "tensors", value: .exact(Int64($0.tensorCount))),
        ])
      })
  }
}

extension NetworkFile {
  /// Prints the note on the only state dict, when no key chose it.
  func printChoice() {
    if let note = (try? part?.checkpoint.chosenStateDict())?.commandText(hasAttributesOption: false) {
      StandardStreams.note(note)
    }
  }
}
