internal import DecantBytes
internal import DecantIO
internal import DecantInference
internal import DecantNetworks
internal import DecantPickle
internal import DecantResNets
internal import DecantScanning
internal import DecantTensors

/// The library's errors as the command line reports them, with remedies that name options and commands.
extension DecantError {
  /// The location, the reason, and a remedy that the user can type.
  var commandText: String {
    var error = self
    if location.file == StandardInput.path { error.location.file = "standard input" }
    return error.text(remedy: commandRemedy)
  }

  /// The reason and the remedy, for a text that names the file already.
  var commandExplanation: String {
    reason + (reason.hasSuffix("?") ? "" : ".") + (commandRemedy.map { " " + $0 } ?? "")
  }

  /// The remedy with the path of the file in place of FILE, so that it can be pasted.
  private var commandRemedy: String? {
    guard let advice else { return nil }
    guard let file = location.file else { return advice.commandText }
    return advice.commandText.replacing(/\bFILE(\.pth)?\b/) { (file + ($0.1 ?? "")).shellWord }
  }

  /// The exit code for this kind of failure.
  ///
  /// It is 1 for a file that is not a ResNet, is not the one asked for, or cannot be computed; else 2.
  var exitStatus: ExitStatus {
    [.mismatch, .notAResNet, .unsupportedNetwork].contains(code) ? .no : .wrong
  }

  /// The error as a member of a JSON document.
  var json: JSONValue {
    var members: [(key: String, value: JSONValue)] = [
      (key: "code", value: .string(code.rawValue)), (key: "message", value: .string(reason)),
    ]
    let texts = [
      ("file", location.file), ("entry", location.entry), ("tensor", location.tensor),
      ("remedy", commandRemedy),
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
      keys.isEmpty ? "Choose one with --key." : "Choose one: \(Self.choices("--key", keys))."
    case .chooseStateDict(let keys, let orAll):
      Self.stateDictChoices(keys.filter { $0 != "." }, orAll: orAll || keys.contains("."))
    case .chooseRoot(let patterns):
      (patterns.isEmpty
        ? ""
        : patterns.map { "--except '\($0.escapedForDisplay)'" }.joined(separator: " ")
          + " leaves \(patterns.count == 1 ? "it" : "them") out; ") + "--key . takes everything."
    case .listKeys: "decant inspect FILE lists its keys."
    case .listNames: "decant inspect FILE lists the names."
    case .raiseLimit(let name, let value):
      "If you trust the file: --limit \(name)=\(value)."
    case .givePassword:
      "Write the password into a file of one line, and pass it with --password-file."
    case .saveWhole:
      "Save the checkpoint again as whole tensors on the CPU. decant inspect FILE lists all of them."
    case .skipUnread: "Leave them out with --skip-unread."
    case .joinRanks(let ranks):
      "The rest is in the files of \(ranks). Name the folder of all files, or pass them all with --join."
    case .addRanks:
      "Pass their files too; convert can keep the complete tensors alone (--salvage)."
    case .joinFiles(let paths, let whole):
      "Pass --join \(paths.map(\.shellWord).joined(separator: " ")) for the files of one run"
        + (whole.map { ", or \($0.escapedForDisplay) for the whole checkpoint" } ?? "") + "."
    case .leaveOutHead:
      "Pass --num-classes 0 to use the network without its head; its output is then the pooled features. "
        + "To keep every tensor, convert to .safetensors, .npz, .gguf or .pth."
    case .chooseHeadActivation(let count):
      (count == 1
        ? "Pass --head-activation relu, gelu or none"
        : "Pass --head-activation with \(Format.count(count, "activation")), one for each place in order, such as "
          + (["relu"] + Array(repeating: "none", count: max(0, count - 1))).joined(separator: ","))
        + "; or --num-classes 0 to use the network without its head, whose output is then the pooled features."
    case .chooseNormalization(let groups):
      "Pass --normalization group:\(groups), with its number of groups, or --normalization batch."
    case .omitNormalization: "Leave out --normalization."
    case .omitHeadActivation: "Leave out --head-activation."
    case .choosePrefix(let prefixes):
      prefixes.isEmpty ? "Choose one with --prefix." : "Choose one: \(Self.choices("--prefix", prefixes))."
    case .chooseInput(let names):
      names.isEmpty
        ? "Pass a file that holds one tensor."
        : "Choose one: \(Self.choices("--input-key", names))."
    case .inputLayout: "Pass --input-layout nhwc."
    case .inspect: "decant inspect FILE lists its names and shapes."
    case .listDialects: "decant identify --dialects lists the dialects."
    case .dequantize: "Pass --dequantize to convert them to float32."
    case .makeDense: "Pass --to-dense to convert them to dense tensors."
    case .resolveWeights: "Pass --resolve to compute them."
    case .fitFormat(let fit): fit.commandText
    case .keepNames: "Leave out --rename, or choose other names."
    case .writeTorch: "decant convert FILE OUT.pth keeps both."
    case .useExternalData: "Pass --external-data to write the weights to a second file."
    case .showRanges: "decant inspect FILE --stats shows the smallest and largest values."
    case .replaceOutput: "Leave out --no-clobber to replace it."
    case .salvage:
      "Download the file again. decant convert FILE OUT.safetensors --salvage keeps the complete tensors."
    case .disassemble:
      "The file is damaged or not a checkpoint. decant inspect --pickle FILE shows how far it can be read."
    case .dropObjects: "Pass --drop-objects to leave them out; tensors are kept."
    case .largerShards: "Pass a larger --shard-size, or leave out --shard-size."
    case .currentFormat: "Leave out --legacy."
    case .keepPrefix: "Leave out --strip-prefix."
    case .exceptTensors(let patterns):
      "Leave \(patterns.count == 1 && !patterns[0].hasPrefix("*") ? "it" : "them") out with "
        + patterns.map { "--except '\($0)'" }.joined(separator: " ") + "."
    case .ignoreTensors(let patterns):
      "If they are not part of the network, leave them out: "
        + Self.exceptOptions(patterns) + ". decant verify FILE lists every difference."
    case .omitLayout: "Leave out --layout."
    case .turnBack: "Pass --layout nchw for PyTorch's order."
    case .nameConvolutions:
      "Name them with --layout-only, and those of transposed convolutions with --layout-transposed."
    case .omitSourceDigest: "Leave out --source-digest."
    case .acceptStructure: "Pass --by-structure to use it."
    case .nameArchitecture: "Name the network with --arch."
    case .chooseStride(let isNamed):
      isNamed
        ? "Pass --stride0 1 (resnet50nodown) or --stride0 2 (resnet50)." : "Pass --stride0 1 or --stride0 2."
    case .verify: "decant verify FILE lists every difference."
    case .useReference: "Pass --engine reference."
    }
  }

  /// Returns an option with each of several values: `--key model, --key ema`.
  private static func choices(_ option: String, _ values: [String]) -> String {
    values.map { "\(option) \($0.escapedForDisplay.shellWord)" }.joined(separator: ", ")
  }

  private static func stateDictChoices(_ keys: [String], orAll: Bool) -> String {
    let all = orAll ? "--key . takes everything" : nil
    let one = keys.isEmpty ? nil : "choose one: \(choices("--key", keys))"
    let text = [one, all].compactMap { $0 }.joined(separator: "; ")
    return text.prefix(1).uppercased() + text.dropFirst() + "."
  }

  /// The number of patterns that a message shows.
  private static let mostPatterns = 4

  /// Returns the options that leave out tensors by patterns, such as `--except 'a.*' --except 'b.*'`.
  static func exceptOptions(_ patterns: [String]) -> String {
    patterns.prefix(mostPatterns).map { "--except '\($0.escapedForDisplay)'" }.joined(separator: " ")
      + (patterns.count > mostPatterns ? " …" : "")
  }
}

extension DecantError.FormatFit {
  fileprivate var commandText: String {
    let options =
      (isCast ? ["--dtype float32"] : []) + except.map { "--except '\($0)'" }
      + rename.map { "--rename \($0.shellWord)" }
    let other = instead.map { "decant convert FILE OUT\($0) holds all of them." }
    return [options.isEmpty ? nil : "Pass \(options.joined(separator: " ")).", other].compactMap { $0 }
      .joined(separator: " ")
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
    case .normalization: "--normalization"
    case .headActivations: "--head-activation"
    }
  }
}

extension ScanRule {
  /// The advice about a finding, worded for the command line.
  var commandRemedy: String {
    self == .encrypted
      ? "Pass its password with --password-file."
      : remedy(reading: "Decant itself reads the weights without executing anything in the file.")
  }
}
