internal import ArgumentParser
internal import DecantBytes
internal import DecantCheckpoints
internal import DecantIO
internal import DecantImages
internal import DecantNetworks
internal import DecantScanning

/// The order of the axes of an input.
enum InputLayout: String, ExpressibleByArgument, CaseIterable {
  case nchw, nhwc
}

/// The options for the inputs and their preprocessing.
struct InputOptions: ParsableArguments {
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Images, folders, .npy or .safetensors files",
      discussion:
        "Takes several. A .npy or .safetensors file holds N×C×H×W. The last word is the checkpoint when no other is given.",
      valueName: "path…"), completion: .file())
  var input: [String] = []
  @Option(help: ArgumentHelp("Tensor to use of a .safetensors input", valueName: "name"))
  var inputKey: String?
  @Option(help: ArgumentHelp("Order of axes of .npy and .safetensors inputs", valueName: "nchw|nhwc"))
  var inputLayout: InputLayout?
  @Option(
    help: ArgumentHelp("imagenet-eval, imagenet-raw or none", valueName: "kind"),
    completion: .list(Preprocessing.allCases.map(\.rawValue)), transform: OptionValue.preprocessing)
  var preprocess: Preprocessing?
  @Option(
    help: ArgumentHelp(
      "Largest batch of images of one size (default 1)", discussion: "May change the last bits of results.",
      valueName: "n"), transform: OptionValue.integer(in: 1...256, "--batch is between 1 and 256"))
  var batch = 1
  @Flag(help: "Ignore the orientation in EXIF and XMP")
  var ignoreOrientation =
    false
  @Flag(
    help: ArgumentHelp(
      "Average the logits of tiles of large images",
      discussion:
        "Splits images larger than 1536×1536 into tiles of 1024×1024 and averages their logits by area."))
  var tile = false

  func validate() throws {
    guard !input.isEmpty else {
      throw ValidationError("missing --input FILE (.npy, image or folder)")
    }
    if tile, preprocess == .imagenetEval {
      throw ValidationError(
        "--tile cannot be used with --preprocess imagenet-eval, which crops images to 224×224.")
    }
  }

  /// Returns the input files in the order of the paths, and by name within a folder. Skips other files in folders.
  ///
  /// - Throws: ``DecantError`` when a path does not exist, or no input is left.
  func sources() throws(DecantError) -> [InputSource] {
    var sources: [InputSource] = []
    for path in input {
      let tree = FileTree([path])
      if let error = tree.errors.first { throw error }
      if tree.files.first?.isNamed == true {
        sources.append(try InputSource(path))
        continue
      }
      var passed = tree.skipped.count
      for file in tree.files {
        let source = try? InputSource(file.path.text)
        if let source, source.kind == .picture || source.kind == .npy {
          sources.append(source)
        } else {
          passed += 1
        }
      }
      if passed > 0 {
        StandardStreams.note(
          "\(path.escapedForDisplay): skipped \(Format.count(passed, "file")) of other formats")
      }
    }
    guard !sources.isEmpty else {
      throw DecantError(
        .invalidInput, "contains no PNG, JPEG or .npy file", file: input.first,
        remedy: "Pass a folder with inputs, or an input file.")
    }
    // Checked before decoding, so that an invalid request fails at once and not picture by picture.
    try requirePreprocessing(of: sources)
    return sources
  }

  private func requirePreprocessing(of sources: [InputSource]) throws(DecantError) {
    if inputLayout != nil, let picture = sources.first(where: { $0.kind == .picture }) {
      throw DecantError(
        .invalidArgument, "is an image, to which --input-layout does not apply", file: picture.path,
        remedy: "Leave out --input-layout.")
    }
    if let preprocess, preprocess != .none {
      guard let numbers = sources.first(where: { $0.kind != .picture }) else { return }
      // A file of another kind gets its own error when it is opened.
      guard numbers.kind != .other else { return }
      throw DecantError(
        .invalidArgument, "is not an image, so --preprocess \(preprocess.rawValue) does not apply",
        file: numbers.path, remedy: "Leave out --preprocess.")
    }
    guard let picture = sources.first(where: { $0.kind == .picture }) else { return }
    let choices = Preprocessing.allCases.filter { $0 != .none }
      .map { "--preprocess \($0.rawValue) (\($0.summary))" }
    throw DecantError(
      .invalidArgument, "is an image, and its preprocessing is not set",
      file: picture.path, remedy: "Pass \(choices.joined(separator: " or ")), or pass a .npy file.")
  }
}
