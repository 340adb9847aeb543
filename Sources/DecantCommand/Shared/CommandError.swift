import DecantBytes
import DecantInference
import DecantNetworks
import DecantPickle
import DecantResNets
import DecantScanning
import DecantTensors

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
    case .listKeys: "decant inspect lists the keys it has."
    case .listNames: "decant inspect --filter shows which names a pattern matches."
    case .chooseTensors: "Choose other tensors with --key, --only or --except."
    case .raiseLimit(let name, let value):
      "If you trust the file: --limit \(name)=\(value)."
    case .saveWhole:
      "Save the checkpoint again as whole tensors on the CPU. decant inspect lists all of them."
    case .leaveOutHead:
      "--num-classes 0 uses the network without a head; its output is then the pooled features. "
        + "decant convert to .safetensors, .npz, .gguf or .pth writes every tensor."
    case .leaveOutTensors(let patterns):
      "decant convert IN OUT.safetensors "
        + patterns.map { "--except '\($0.escapedForDisplay)'" }.joined(separator: " ")
        + " writes the network without its head, which then computes the pooled features."
    case .choosePrefix(let prefixes):
      "Choose one with --prefix"
        + (prefixes.isEmpty ? "." : ": \(prefixes.map(\.quoted).joined(separator: ", ")).")
    case .chooseInput(let names):
      names.isEmpty
        ? "Give a file that holds one."
        : "Choose one with --input-key: \(names.map(\.escapedForDisplay).joined(separator: ", "))."
    case .inspect: "decant inspect shows the names and shapes it has."
    case .listDialects: "decant identify --dialects lists the dialects."
    case .dequantize: "Pass --dequantize to use the numbers they represent."
    case .makeDense: "Pass --to-dense to fill in the zeros."
    case .cast: "Cast them with --dtype float32."
    case .rename: "Change the names with --rename."
    case .useExternalData: "Pass --external-data to write the weights to a second file."
    case .showRanges: "decant inspect --stats shows the ranges of the numbers."
    case .replaceOutput: "Leave out --no-clobber to replace it."
    case .salvage: "Download it again; decant convert --salvage keeps the tensors that are whole."
    case .disassemble:
      "The file is damaged or was never a checkpoint; decant inspect --pickle shows how far it reads."
    case .dropObjects: "Leave them out with --drop-objects; tensors are kept."
    case .largerShards: "Choose a larger --shard-size."
    case .currentFormat: "Leave out --legacy."
    case .keepPrefix: "Leave out --strip-prefix, or choose with --key the tensors that have it."
    case .omitSourceDigest: "Leave out --source-digest."
    case .declare(let settings):
      "Say which network it is with \(settings.map(Self.option).joined(separator: " or "))."
    case .verify: "decant verify lists every difference."
    case .useReference: "Pass --engine reference."
    }
  }
}

extension DecantError.Advice {
  /// Returns the command line option for one of the settings in ``ResNetOverrides``.
  private static func option(_ setting: String) -> String {
    ResNetOverrideKey(rawValue: setting)?.option ?? setting
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
  var commandRemedy: String { remedy(reading: "decant convert reads the weights without running anything.") }
}

/// A command that prints JSON on request.
protocol JSONReporting {
  /// True when results and errors are printed as JSON.
  var json: Bool { get }
}
