internal import ArgumentParser
internal import DecantBytes
internal import DecantCheckpoints

/// The options that leave tensors out, of every command that uses weights.
struct LeaveOutOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("Leave out tensors whose name matches this glob. Repeatable.", valueName: "glob"))
  var except: [String] = []
  @Flag(help: "Leave out tensors of kinds that cannot be read, and name them.") var skipUnread = false
}

extension CheckpointSource {
  /// Opens the checkpoint, without the tensors of kinds that are not read if the options leave them out.
  func open(_ opening: OpeningOptions, _ leaving: LeaveOutOptions) throws(DecantError) -> Checkpoint {
    let checkpoint = try open(opening)
    return leaving.skipUnread ? checkpoint.skippingUnreadTensors() : checkpoint
  }
}
