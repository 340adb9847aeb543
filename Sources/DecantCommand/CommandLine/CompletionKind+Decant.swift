internal import ArgumentParser
internal import DecantBytes
internal import DecantCheckpoints
internal import DecantIO
internal import DecantResNets
internal import DecantTensors

/// The completions that shells offer for the values of options.
extension CompletionKind {
  /// The names of the known architectures.
  static var architectures: Self { names { ResNetArchitecture.all.map(\.name) } }
  /// The names of the naming dialects.
  static var dialects: Self { names { ResNetDialect.all.map(\.name) } }
  /// The dtypes that tensors can be cast to.
  static var dtypes: Self { names { Cast.targets.map(\.rawValue) } }
  /// The limits, up to their values.
  static var limits: Self { names { Limits.names.map { $0 + "=" } } }
  /// The stages of a ResNet with four stages of blocks.
  static var stages: Self {
    names {
      ["input", "stem", "maxpool"] + (1...4).map { "layer\($0)" } + ["avgpool", "logits", "output"]
    }
  }

  /// Returns the completion of one of many names. They are made when a shell asks, since options are parsed at every
  /// start.
  private static func names(_ all: @escaping @Sendable () -> [String]) -> Self {
    .custom { _, _, prefix in all().filter { $0.hasPrefix(prefix) } }
  }

  /// The keys in the first checkpoint that the command line names.
  static var keys: Self { .custom { words, _, prefix in FileKeys.all(in: words, beginning: prefix) } }
}

/// The keys in a file that is already on the command line.
enum FileKeys {
  /// The most keys that a file's names are searched for.
  private static let mostKeys = 20_000

  /// Returns the keys that continue a prefix by one level: the first level until a prefix ends in a dot after a key.
  ///
  /// - Parameter words: the words of the command line as the shell has them, quoted.
  static func all(in words: [String], beginning prefix: String) -> [String] {
    let prefix = unquoted(prefix)
    // The first two words are the tool and its command.
    for word in words.dropFirst(2).map(unquoted) where !word.hasPrefix("-") {
      guard let checkpoint = try? Checkpoint(path: word) else { continue }
      let names = checkpoint.keyNames(limit: mostKeys)
      let parent = names.filter { prefix.hasPrefix($0 + ".") }.max { $0.utf8.count < $1.utf8.count }
      return checkpoint.keyNames(below: parent).filter { $0.hasPrefix(prefix) }
    }
    return []
  }

  /// Returns a word without the quotes and backslashes of a shell, and with `~/` replaced.
  private static func unquoted(_ word: String) -> String {
    var text = word.hasPrefix("~/") ? (ProcessControl.environment("HOME") ?? "~") : ""
    var isEscaped = false
    for character in word.dropFirst(text.isEmpty ? 0 : 1) {
      if isEscaped || !"\\'\"".contains(character) {
        text.append(character)
        isEscaped = false
      } else {
        isEscaped = character == "\\"
      }
    }
    return text
  }
}
