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
    var clauses: [String] = []
    if !leftOut.isEmpty || attributeCount > 0 || isImplicit {
      let key = selection.path.isEmpty ? "the root" : Format.name(selection.path)
      clauses.append("using \(key) (\(Format.count(selection.tensors.count, "tensor")))")
    }
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
    if !skipped.isEmpty {
      clauses.append(
        "left out: \(Format.count(skipped.count, "tensor")) that cannot be read: \(Checkpoint.list(skipped))")
    }
    if !excluded.isEmpty {
      let names = excluded.prefix(Self.mostNamed).map(\.escapedForDisplay).joined(separator: ", ")
      let more = excluded.count > Self.mostNamed ? " and \(excluded.count - Self.mostNamed) more" : ""
      clauses.append("left out by --except: \(names)\(more)")
    }
    return clauses.isEmpty ? nil : clauses.joined(separator: "; ")
  }

  /// The numbers of keys that a note names, without and with tensors.
  private static let mostNamed = 8
  private static let mostWithTensors = 100

  /// The values that are left out, as JSON: `[{"key": "optimizer", "tensors": 640}, …]`. Tensors of kinds that are not
  /// read have their kind, too.
  var leftOutJSON: JSONValue {
    func value(_ key: String, _ count: Int) -> [(key: String, value: JSONValue)] {
      [(key: "key", value: .string(key)), (key: "tensors", value: .exact(Int64(count)))]
    }
    return .array(
      leftOut.map { .object(value($0.key, $0.tensorCount)) }
        + skipped.map {
          .object(value($0.name, 1) + [(key: "unread_tensor", value: .string($0.unreadTensor ?? ""))])
        }
        + excluded.map { .object(value($0, 1)) })
  }
}

extension NetworkFile {
  /// Prints the note on the state dict and what it leaves out.
  func printChoice() {
    if let note = choice?.commandText(hasAttributesOption: false) { StandardStreams.note(note) }
  }
}
