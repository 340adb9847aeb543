import DecantNetworks
import DecantIO
import ArgumentParser
import DecantBytes
import DecantCheckpoints
import DecantImages
import DecantScanning

/// The options for the inputs and their preprocessing.
struct InputOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The input: N×C×H×W numbers in a .npy or .safetensors, a PNG or JPEG, or a folder with pictures and .npy; again for another.",
      valueName: "path"))
  var input: [String] = []
  @Option(help: "The tensor that is the input, in a .safetensors that holds several.") var inputKey: String?
  @Option(
    help: "How a picture becomes numbers: imagenet-eval, imagenet-raw, or none for files of numbers.")
  var preprocess: String?
  @Option(help: "How many pictures of one size run at once; more may change the last bits of a result.")
  var batch = 1
  @Flag(help: "Take pictures as they are stored, whatever orientation they state.") var ignoreOrientation =
    false
  @Flag(
    help: "Score images larger than 1536 pixels on both sides as the mean of tiles of 1024, weighed by area.")
  var tile = false

  /// The requested preprocessing, or nil when the option was not given.
  var preprocessing: Preprocessing? { preprocess.flatMap(Preprocessing.init(rawValue:)) }

  func validate() throws {
    guard !input.isEmpty else {
      throw ValidationError("Missing --input: a .npy, a .safetensors, a PNG, a JPEG or a folder of them.")
    }
    if let preprocess, preprocessing == nil {
      throw ValidationError(
        "--preprocess is \(Self.names), not \(preprocess.escapedForDisplay).")
    }
    if !(1...256 ~= batch) { throw ValidationError("--batch is between 1 and 256, not \(batch).") }
    if tile, preprocessing == .imagenetEval {
      throw ValidationError(
        "--tile is for whole images, and --preprocess imagenet-eval leaves 224×224 of each.")
    }
  }

  static let names = "imagenet-eval, imagenet-raw or none"

  /// Returns the input files in the order of the paths, and by name within a folder. Skips other files in folders.
  ///
  /// - Throws: ``DecantError`` when a path does not exist, or no input is left.
  func sources() throws(DecantError) -> [InputSource] {
    var sources: [InputSource] = []
    for path in input {
      let tree = FileTree([path])
      if let error = tree.errors.first { throw error }
      if tree.files == [path] {
        sources.append(try InputSource(path))
        continue
      }
      var passed = tree.skipped.count
      for file in tree.files {
        let source = try? InputSource(file)
        if let source, source.kind == .picture || source.kind == .npy {
          sources.append(source)
        } else {
          passed += 1
        }
      }
      if passed > 0 {
        StandardStreams.note(
          "\(path.escapedForDisplay): \(Format.count(passed, "file")) of other kinds passed over")
      }
    }
    guard !sources.isEmpty else {
      throw DecantError(
        .invalidInput, "has no PNG, JPEG or .npy in it", file: input.first,
        remedy: "Give a folder with inputs, or the input itself.")
    }
    // Checked before decoding, so that an invalid request fails at once and not picture by picture.
    try requirePreprocessing(of: sources)
    return sources
  }

  private func requirePreprocessing(of sources: [InputSource]) throws(DecantError) {
    if let preprocessing, preprocessing != .none {
      guard let numbers = sources.first(where: { $0.kind != .picture }) else { return }
      // A file of another kind gets its own error when it is opened.
      guard numbers.kind != .other else { return }
      throw DecantError(
        .invalidArgument, "holds numbers, and --preprocess \(preprocessing.rawValue) is for pictures",
        file: numbers.path, remedy: "Run files of numbers alone, without --preprocess.")
    }
    guard let picture = sources.first(where: { $0.kind == .picture }) else { return }
    let choices = Preprocessing.allCases.filter { $0 != .none }
      .map { "--preprocess \($0.rawValue) (\($0.summary))" }
    throw DecantError(
      .invalidArgument, "is a picture, and no file says how the network wants pictures prepared",
      file: picture.path, remedy: "Pass \(choices.joined(separator: " or ")), or give the numbers in a .npy.")
  }
}
