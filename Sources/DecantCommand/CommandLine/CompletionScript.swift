internal import ArgumentParser

/// The completion script of a shell: the parser's, which also completes file names where it has nothing else.
enum CompletionScript {
  /// Returns the script for `bash`, `zsh` or `fish`; nil for another shell.
  static func text(for shell: String) -> String? {
    guard let shell = CompletionShell(rawValue: shell) else { return nil }
    let script = Decant.completionScript(for: shell)
    switch shell {
    case .bash: return script.replacing("complete -o filenames", with: "complete -o default -o filenames")
    case .zsh:
      return script.replacing(
        "_describe -V subcommand subcommands && ret=0",
        with: "_describe -V subcommand subcommands && ret=0\n        _files && ret=0")
    case .fish:
      // fish 3 does not know `commandline -o -tC`: the parser's way to find the cursor in a word fails.
      return script.replacing("(__decant_tokens -tC)", with: #"(string length -- "$(commandline -ct)")"#)
        + "\ncomplete -c decant -n '__fish_is_nth_token 1' -F\n"
    default: return script
    }
  }
}
