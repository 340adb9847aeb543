import ByteParsing

/// The errors of the library as the command line reports them: remedies name options and commands.
extension DecantError {
  /// The place, the reason, and a remedy that can be typed.
  var commandText: String { text(remedy: advice?.commandText) }

  /// The exit code that the contract gives to this kind of failure.
  var exitStatus: ExitStatus { code == .mismatch ? .no : .wrong }

  /// The error as a member of a JSON document.
  var json: JSONValue {
    var members: [(key: String, value: JSONValue)] = [
      (key: "code", value: .string(code.rawValue)), (key: "message", value: .string(reason)),
    ]
    let texts = [
      ("file", location.file), ("entry", location.entry), ("tensor", location.tensor),
      ("remedy", advice?.commandText),
    ]
    for (key, text) in texts { if let text { members.append((key: key, value: .string(text))) } }
    if let offset = location.offset { members.append((key: "offset", value: .exact(Int64(offset)))) }
    return .object(members)
  }

  /// The document that stands on standard output when a command with `--json` fails.
  var jsonDocument: JSONValue { .object([(key: "schema", value: 1), (key: "error", value: json)]) }
}

extension DecantError.Advice {
  /// The remedy in terms of the command line.
  var commandText: String {
    switch self {
    case .text(let text): text
    case .chooseKey(let keys):
      keys.isEmpty
        ? "Choose one with --key."
        : "Choose one with --key: \(keys.map(\.escapedForDisplay).joined(separator: ", "))."
    case .listKeys: "decant inspect lists the keys it has."
    case .listNames: "decant inspect --filter shows which names a pattern matches."
    case .chooseTensors: "Choose other tensors with --key, --only or --except."
    case .raiseLimit(let name, let value):
      "If you trust the file: --limit \(name)=\(value.map { "\($0)" } ?? "NUMBER")."
    case .saveWhole:
      "Save the checkpoint again as whole tensors on the CPU. decant inspect lists all of them."
    case .leaveOutHead:
      "--num-classes 0 uses the network without a head; its output is then the pooled features. "
        + "decant convert to .safetensors, .npz, .gguf or .pth writes every tensor."
    case .leaveOutTensors(let patterns):
      "To use the network without a head, write one: decant convert IN OUT.safetensors "
        + patterns.map { "--except '\($0.escapedForDisplay)'" }.joined(separator: " ")
    case .dequantize: "Write the numbers they represent with --dequantize."
    case .makeDense: "Write them in full with --to-dense."
    case .cast: "Cast them with --dtype float32."
    case .rename: "Change the names with --rename."
    case .replaceOutput: "Leave out --no-clobber to replace it."
    case .salvage: "Download it again; decant convert --salvage keeps the tensors that are whole."
    case .disassemble:
      "The file is damaged or was never a checkpoint; decant inspect --pickle shows how far it reads."
    case .inspect: "decant inspect shows the names and shapes it has."
    case .dropObjects: "Leave them out with --drop-objects; tensors are kept."
    case .largerShards: "Choose a larger --shard-size."
    case .currentFormat: "Leave out --legacy."
    case .keepPrefix: "Leave out --strip-prefix, or choose with --key the tensors that have it."
    case .omitSourceDigest: "Leave out --source-digest."
    }
  }
}

/// A command that prints JSON when asked.
protocol JSONReporting {
  /// Whether results and errors are printed as JSON.
  var json: Bool { get }
}
