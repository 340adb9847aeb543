internal import DecantBytes
internal import DecantInference
internal import DecantNetworks
internal import DecantPickle
internal import DecantResNets
internal import DecantScanning
internal import DecantTensors

/// The library's errors as the command line reports them, with remedies that name options and commands.
extension DecantError {
  /// The location, the reason, and a remedy that the user can type.
  var commandText: String { text(remedy: advice?.commandText) }

  /// The exit code for this kind of failure.
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

  /// The JSON document on standard output when a command with `--json` fails.
  var jsonDocument: JSONValue { .object([(key: "schema", value: 1), (key: "error", value: json)]) }

  /// Returns the JSON document for a wrong command line, whose exit code is 64.
  static func usageDocument(_ message: String) -> JSONValue {
    .object([
      (key: "schema", value: 1),
      (
        key: "error",
        value: .object([(key: "code", value: "usage"), (key: "message", value: .string(message))])
      ),
    ])
  }
}

extension DecantError.Advice {
  /// The remedy, worded for the command line.
  package var commandText: String {
    switch self {
    case .text(let text): text
    case .chooseKey(let keys):
      keys.isEmpty
        ? "Choose one with --key."
        : "Choose one with --key: \(keys.map(\.escapedForDisplay).joined(separator: ", "))."
    case .chooseStateDict(let key):
      switch key {
      case nil: "Choose one with --key; --key . takes everything."
      case "."?: "--key . takes everything."
      case let key?: "--key \(key.escapedForDisplay) uses it alone; --key . takes everything."
      }
    case .listKeys: "decant inspect FILE lists its keys."
    case .listNames: "decant inspect FILE --filter PATTERN lists the names that match."
    case .chooseTensors: "Choose other tensors with --key, --only or --except."
    case .raiseLimit(let name, let value):
      "If you trust the file: --limit \(name)=\(value)."
    case .givePassword:
      "Write the password into a file of one line, and pass it: --password-file FILE."
    case .saveWhole:
      "Save the checkpoint again as whole tensors on the CPU. decant inspect FILE lists all of them."
    case .joinRanks(let ranks):
      "The rest is in the files of \(ranks). Name the folder of all files, or pass them all: --join FILE FILE."
    case .addRanks:
      "Pass their files too, or keep the tensors that are complete with decant convert --salvage."
    case .joinFiles(let paths, let whole):
      "Pass --join \(paths.map(\.escapedForDisplay).joined(separator: " ")) for the files of one run"
        + (whole.map { ", or \($0.escapedForDisplay) for the whole checkpoint" } ?? "") + "."
    case .leaveOutHead:
      "Pass --num-classes 0 to use the network without its head; its output is then the pooled features. "
        + "To keep every tensor, convert to .safetensors, .npz, .gguf or .pth."
    case .leaveOutTensors(let patterns):
      "decant convert IN OUT.safetensors "
        + patterns.map { "--except '\($0.escapedForDisplay)'" }.joined(separator: " ")
        + " writes the network without its head; its output is then the pooled features."
    case .choosePrefix(let prefixes):
      "Choose one with --prefix"
        + (prefixes.isEmpty ? "." : ": \(prefixes.map(\.quoted).joined(separator: ", ")).")
    case .chooseInput(let names):
      names.isEmpty
        ? "Pass a file that holds one tensor."
        : "Choose one with --input-key: \(names.map(\.escapedForDisplay).joined(separator: ", "))."
    case .inspect: "decant inspect FILE lists its names and shapes."
    case .listDialects: "decant identify --dialects lists the dialects."
    case .dequantize: "Pass --dequantize to convert them to float32."
    case .makeDense: "Pass --to-dense to convert them to dense tensors."
    case .resolveWeights: "Pass --resolve to compute them."
    case .cast: "Cast them with --dtype float32."
    case .rename: "Rename them with --rename 's/OLD/NEW/'."
    case .useExternalData: "Pass --external-data to write the weights to a second file."
    case .showRanges: "decant inspect FILE --stats shows the smallest and largest values."
    case .replaceOutput: "Leave out --no-clobber to replace it."
    case .salvage:
      "Download the file again, or keep the tensors that are complete with decant convert --salvage."
    case .disassemble:
      "The file is damaged or not a checkpoint. decant inspect --pickle FILE shows how far it can be read."
    case .dropObjects: "Pass --drop-objects to leave them out; tensors are kept."
    case .largerShards: "Pass a larger --shard-size."
    case .currentFormat: "Leave out --legacy."
    case .keepPrefix: "Leave out --strip-prefix, or use --key to choose the tensors that have this prefix."
    case .exceptTensors(let names):
      "Leave \(names.count == 1 ? "it" : "them") out with "
        + names.map { "--except '\($0.escapedForDisplay)'" }.joined(separator: " ") + "."
    case .omitLayout: "Leave out --layout."
    case .nameConvolutions:
      "Name them with --layout-only 'PATTERN', and those of transposed convolutions with --layout-transposed."
    case .omitSourceDigest: "Leave out --source-digest."
    case .acceptStructure: "Pass --by-structure to use it."
    case .nameArchitecture: "Pass the network with --arch, such as --arch resnet50."
    case .chooseStride(let isNamed):
      isNamed
        ? "Pass --stride0 1 (resnet50nodown) or --stride0 2 (resnet50)." : "Pass --stride0 1 or --stride0 2."
    case .verify: "decant verify FILE lists every difference."
    case .useReference: "Pass --engine reference."
    }
  }
}

extension ResNetOverrideKey {
  /// The command line option for the setting, such as `--stem-pooling`.
  var option: String {
    switch self {
    case .architecture: "--arch"
    case .prefix: "--prefix"
    case .classes: "--num-classes"
    case .stride0: "--stride0"
    case .blockStride: "--block-stride"
    case .stemPooling: "--stem-pooling"
    case .outputStride: "--output-stride"
    case .stageStrides: "--stage-strides"
    case .epsilon: "--epsilon"
    }
  }
}

extension ScanRule {
  /// The advice about a finding, worded for the command line.
  var commandRemedy: String {
    self == .encrypted
      ? "Pass its password: --password-file FILE."
      : remedy(reading: "decant convert reads the weights without executing anything in the file.")
  }
}

/// A command that prints JSON on request.
protocol JSONReporting {
  /// True when results and errors are printed as JSON.
  var json: Bool { get }
}
