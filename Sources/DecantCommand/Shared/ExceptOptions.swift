internal import ArgumentParser

/// The option to leave tensors out, of the commands that compare a state dict with a network.
struct ExceptOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("Leave out tensors whose name matches this glob. Repeatable.", valueName: "glob"))
  var except: [String] = []
}
