internal import ArgumentParser
internal import DecantBytes
internal import DecantCheckpoints

/// The options that leave tensors out, of every command that uses weights.
struct LeaveOutOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Leave out tensors by name (repeatable)", valueName: "glob"))
  var except: [String] = []
  @Flag(help: ArgumentHelp("Leave out tensors that cannot be read", discussion: "Their names are listed."))
  var skipUnread = false
}

extension CheckpointSource {
  /// Opens the checkpoint, without the tensors of kinds that are not read if the options leave them out.
  func open(_ opening: OpeningOptions, _ leaving: LeaveOutOptions) throws(DecantError) -> Checkpoint {
    let checkpoint = try open(opening)
    return leaving.skipUnread ? checkpoint.skippingUnreadTensors() : checkpoint
  }
}
