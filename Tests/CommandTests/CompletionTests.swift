import Foundation
import TestSupport
import Testing

/// What TAB offers in real shells that have loaded the completion script. zsh and fish are tested where they are installed.
@Suite struct CompletionTests {
  enum Shell: String, CaseIterable, CustomTestStringConvertible {
    case bash, zsh, fish

    var testDescription: String { rawValue }
    static var installed: [Shell] {
      allCases.filter { shell in
        ["/bin", "/usr/bin", "/usr/local/bin"].contains {
          FileManager.default.isExecutableFile(atPath: "\($0)/\(shell.rawValue)")
        }
      }
    }

    /// A script whose arguments are the folder with the completion script and the command line. Prints what TAB offers.
    var probe: String {
      switch self {
      case .bash:
        """
        source "$1/decant.bash"
        read -ra COMP_WORDS <<< "$2"
        [[ $2 == *' ' ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$2 COMP_POINT=${#2}
        _decant decant "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        # bash itself offers file names when the script offers nothing and was registered with "default".
        if [[ ${#COMPREPLY[@]} -eq 0 && $(complete -p decant) == *"-o default"* ]]; then
          compgen -f -- "${COMP_WORDS[COMP_CWORD]}"
        fi
        printf '%s\\n' "${COMPREPLY[@]}"
        """
      case .zsh:
        #"""
        zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell "PROMPT=; fpath=(${(q)1} \$fpath); autoload -Uz compinit && compinit -u -D; LISTMAX=10000
        compadd() {
          if (( \${@[(I)-[DOA]]} )); then builtin compadd \"\$@\"; return; fi
          typeset -a found; builtin compadd -A found \"\$@\"; print -rl -- \${found/#/TAB:}; builtin compadd \"\$@\"
        }
        bindkey '^I' list-choices; print RE''ADY"
        until zpty -r shell line '*READY*'; do :; done
        zpty -w -n shell "$2"$'\t'
        integer waited=0 quiet=0
        while (( waited++ < 200 && quiet < 8 )); do
          sleep 0.1
          if zpty -r -t shell more; then out+=$more quiet=0; elif [[ $out == *TAB:* ]]; then (( quiet++ )); fi
          (( waited > 60 )) && [[ $out != *TAB:* ]] && break
        done
        print -r -- "$out" | tr -d '\r' | grep -o 'TAB:.*' | sed 's/^TAB://'
        zpty -d shell
        """#
      case .fish:
        """
        source $argv[1]/decant.fish
        complete -C $argv[2] | string split -f 1 \\t
        """
      }
    }
  }

  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    let manager = FileManager.default
    for name in ["nested.pth", "other.txt", "my models/spaced.pth"] {
      let url = folder.url.appending(path: name)
      try manager.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      try manager.copyItem(at: Fixtures.root.appending(path: "fixtures/torch/nested.pth"), to: url)
    }
    for (shell, file) in [("bash", "decant.bash"), ("zsh", "_decant"), ("fish", "decant.fish")] {
      let run = try DecantProcess.run(["--generate-completion-script", shell])
      _ = try folder.write(file, Array(run.output.utf8))
    }
    for shell in Shell.allCases { _ = try folder.write("probe.\(shell)", Array(shell.probe.utf8)) }
  }

  private func offered(_ shell: Shell, _ line: String) throws -> Set<String> {
    let command = "\(shell)\(shell == .zsh ? " -f" : "") probe.\(shell) \"$PWD\" '\(line)'"
    let run = try DecantProcess.shell(command, in: folder.url)
    return Set(run.output.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) })
  }

  /// The words that TAB offers, and nothing else.
  private static let exact: [(String, Set<String>)] = [
    ("decant ins", ["inspect"]), ("decant sy", ["synthesize"]),
    // File names, for the tool itself and for its commands.
    ("decant nes", ["nested.pth"]), ("decant inspect nes", ["nested.pth"]),
    ("decant diff nested.pth oth", ["other.txt"]),
    ("decant scan nes", ["nested.pth"]), ("decant run nested.pth --labels oth", ["other.txt"]),
    // The keys in the file on the line.
    ("decant inspect nested.pth --key ", ["model", "optimizer", "epoch"]),
    ("decant inspect nested.pth -k mo", ["model"]),
    ("decant verify nested.pth --key opt", ["optimizer"]),
    ("decant inspect nested.pth --key model.0", ["model.0.weight"]),
    ("decant inspect nested.pth --key model.1.b", ["model.1.bias"]),
    // Names that the tool knows.
    ("decant verify nested.pth --arch resnet50n", ["resnet50nodown"]),
    ("decant synthesize resnet26", ["resnet26", "resnet26d", "resnet26t"]),
    ("decant convert nested.pth x.npz --dtype b", ["bfloat16"]),
    ("decant convert nested.pth x.npz --names det", ["detectron2"]),
    ("decant run nested.pth --stage st", ["stem"]), ("decant inspect nested.pth --dig", ["--digest"]),
    ("decant convert nested.pth x --format saf", ["safetensors"]),
  ]

  @Test(arguments: Shell.installed.filter { $0 != .zsh }, exact)
  func offers(_ shell: Shell, _ expected: (String, Set<String>)) throws {
    #expect(try offered(shell, expected.0) == expected.1, "\(shell): \(expected.0)")
  }

  /// zsh takes seconds to start, so it gets fewer lines.
  @Test(
    .enabled(if: Shell.installed.contains(.zsh), "zsh is not installed"),
    arguments: [
      "decant ins", "decant nes", "decant inspect nes", "decant inspect nested.pth --key ",
      "decant inspect nested.pth --key model.0", "decant verify nested.pth --arch resnet50n",
      "decant inspect nested.pth --dig",
    ])
  func zshOffers(_ line: String) throws {
    let expected = try #require(Self.exact.first { $0.0 == line })
    #expect(try offered(.zsh, line) == expected.1)
  }

  @Test(arguments: Shell.installed.filter { $0 != .bash }) func quotedFile(_ shell: Shell) throws {
    #expect(try offered(shell, #"decant inspect my\ models/spaced.pth --key mo"#) == ["model"])
  }

  /// bash passes the words of the line as they are typed.
  @Test(arguments: [
    #"my\ models/spaced.pth"#, "'my models/spaced.pth'", #""my models/spaced.pth""#, "nested.pth",
  ])
  func wordsAsTyped(_ word: String) throws {
    let run = try DecantProcess.run(
      ["---completion", "inspect", "--", "--key", "4", "2", "decant", "inspect", word, "--key", "mo"],
      in: folder.url)
    #expect(run.output == "model\n" || run.output == "model")
  }
}
