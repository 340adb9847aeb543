import Foundation
import TestSupport
import Testing

/// `decant scan` as users run it: text, JSON, SARIF, exit codes, folders.
@Suite struct ScanTests {
  private let folder: TemporaryFolder
  /// The call `os.system('echo hi')` at protocol 0.
  private let hostile = Array("cos\nsystem\n(S'echo hi'\ntR.".utf8)
  /// The call `package.Class()`.
  private let foreign = Array("(ipackage\nClass\n.".utf8)
  private let clean = Array("(dp0\n.".utf8)

  init() throws { folder = try TemporaryFolder() }

  private func scan(_ arguments: String...) throws -> DecantRun {
    try DecantProcess.run(["scan"] + arguments, in: folder.url)
  }

  @Test func textOfADangerousFile() throws {
    _ = try folder.write("a.pkl", hostile)
    let run = try scan("a.pkl")
    #expect(run.status == 1)
    #expect(
      run.output == """
        dangerous  a.pkl
          dangerous: os.system: runs system commands  [runs-code]
            at byte 24: os.system('echo hi')
          → Do not load it: no checkpoint needs this.
        1 file: 1 dangerous

        """)
    #expect(run.errors.isEmpty)
  }

  @Test func textOfAnUnknownFile() throws {
    _ = try folder.write("a.pkl", foreign)
    let run = try scan("a.pkl")
    #expect(run.status == 1)
    #expect(
      run.output == """
        unknown  a.pkl
          unknown: package.Class: defined by package: loading imports it and runs its code  [library-name]
            at byte 1: package.Class()
          → Load it only if you trust its author. Decant itself reads the weights without executing anything in the file.
        1 file: 1 unknown

        """)
  }

  @Test func textOfACleanFile() throws {
    _ = try folder.write("a.pkl", clean)
    let run = try scan("a.pkl")
    #expect(run.status == 0)
    #expect(run.output == "clean  a.pkl\n1 file: 1 clean\n")
  }

  /// A command line with its expected exit code.
  struct Ending: Sendable {
    let arguments: [String]
    let status: Int32
    init(_ status: Int32, _ arguments: String...) {
      self.arguments = arguments
      self.status = status
    }
  }

  private static let endings = [
    Ending(0, "a.pkl"), Ending(1, "b.pkl"), Ending(0, "b.pkl", "--fail-on", "dangerous"),
    Ending(1, "c.pkl", "--fail-on", "dangerous"), Ending(1, "d.txt", "--fail-on", "dangerous"),
    Ending(2, "missing"), Ending(2, "a.pkl", "missing"), Ending(64), Ending(64, "a.pkl", "--json", "--sarif"),
    Ending(0, "--rules"),
  ]

  @Test(arguments: endings)
  func exitCodes(_ ending: Ending) throws {
    _ = try folder.write("a.pkl", clean)
    _ = try folder.write("b.pkl", foreign)
    _ = try folder.write("c.pkl", hostile)
    _ = try folder.write("d.txt", Array("hello".utf8))
    let run = try DecantProcess.run(["scan"] + ending.arguments, in: folder.url)
    #expect(run.status == ending.status, "\(run.output)\(run.errors)")
  }

  @Test func unreadableFilesSayWhatTheyAre() throws {
    _ = try folder.write("a.pth", Array("version https://git-lfs.github.com/spec/v1\n".utf8))
    let run = try scan("a.pth")
    #expect(run.status == 1)
    #expect(run.output.contains("unreadable: is a Git LFS pointer, not the file itself. Run git lfs pull"))
  }

  @Test func textFromFilesIsEscaped() throws {
    _ = try folder.write("a.pkl", Array("cos\nsystem\n(S'\u{1B}[31m'\ntR.".utf8))
    let run = try scan("a.pkl")
    #expect(run.output.contains("os.system('\\x1b[31m')"))
    #expect(!run.output.utf8.contains(0x1B))
  }

  /// Folders are sorted. Links to files are followed; links to folders and pipes are skipped with a note.
  @Test func folders() throws {
    let files = FileManager.default
    for name in ["tree/b", "tree/a", "outside"] {
      try files.createDirectory(atPath: folder.path(name), withIntermediateDirectories: true)
    }
    for name in ["tree/b/x.pkl", "tree/a/y.pkl", "tree/z.pkl", "outside/o.pkl"] {
      _ = try folder.write(name, clean)
    }
    try files.createSymbolicLink(atPath: folder.path("tree/in.pkl"), withDestinationPath: "z.pkl")
    try files.createSymbolicLink(atPath: folder.path("tree/out.pkl"), withDestinationPath: "../outside/o.pkl")
    try files.createSymbolicLink(atPath: folder.path("tree/loop"), withDestinationPath: ".")
    try files.createSymbolicLink(atPath: folder.path("tree/nowhere"), withDestinationPath: "nothing")
    #expect(mkfifo(folder.path("tree/pipe"), 0o600) == 0)
    let run = try scan("tree")
    #expect(run.status == 1)
    #expect(
      run.output == """
        clean  tree/a/y.pkl
        clean  tree/b/x.pkl
        clean  tree/in.pkl
        clean  tree/out.pkl
        clean  tree/z.pkl
        5 files: 5 clean

        """)
    #expect(
      run.errors == """
        decant: not scanned: tree/loop is a link to a folder
        decant: not scanned: tree/nowhere is a broken link
        decant: not scanned: tree/pipe is not a regular file

        """)
    let skipped = try #require(try object(try scan("tree", "--json").output)["skipped"] as? [[String: Any]])
    #expect(skipped.map { $0["file"] as? String } == ["tree/loop", "tree/nowhere", "tree/pipe"])
    #expect(skipped.first?["reason"] as? String == "is a link to a folder")
    #expect(try scan("tree", "--skip", "loop", "--skip", "nowhere", "--skip", "pipe").status == 0)
  }

  /// Names that are not UTF-8, and paths longer than the kernel accepts, are followed as bytes.
  @Test func namesAndPathsOfAnyBytes() throws {
    let root = folder.path("tree")
    defer { try? Process.run(URL(filePath: "/bin/rm"), arguments: ["-rf", root]).waitUntilExit() }
    #expect(mkdir(root, 0o700) == 0)
    func write(_ name: [UInt8], in folder: Int32) {
      let file = openat(folder, name.map { CChar(bitPattern: $0) } + [0], O_CREAT | O_WRONLY, 0o600)
      #expect(file >= 0 && Foundation.write(file, hostile, hostile.count) == hostile.count)
      close(file)
    }
    var place = open(root, O_RDONLY | O_DIRECTORY)
    write([0xFF, 0x2E, 0x70], in: place)
    let name = String(repeating: "d", count: 250)
    for _ in 0..<20 {
      #expect(mkdirat(place, name, 0o700) == 0)
      let next = openat(place, name, O_RDONLY | O_DIRECTORY)
      close(place)
      place = next
    }
    write(Array("deep.pkl".utf8), in: place)
    close(place)
    let run = try scan("tree", "--json")
    #expect(run.status == 1 && run.errors.isEmpty)
    let files = try #require(try object(run.output)["files"] as? [[String: Any]])
    #expect(files.map { $0["verdict"] as? String } == ["dangerous", "dangerous"])
    #expect((files[0]["file"] as? String)?.hasSuffix("/deep.pkl") == true)
    #expect(files[1]["file"] as? String == "tree/\\xff.p")
    #expect(try scan("tree").output.contains("dangerous  tree/\\xff.p\n"))
    #expect(try scan("tree", "--sarif").output.contains("\"tree/%FF.p\""))
  }

  /// Root may search every folder, so the tool is run as another user then.
  @Test func foldersWithoutPermission() throws {
    let files = FileManager.default
    for (name, mode) in [("listed", 0o400), ("searched", 0o100)] {
      try files.createDirectory(atPath: folder.path("tree/\(name)"), withIntermediateDirectories: true)
      _ = try folder.write("tree/\(name)/a.pkl", hostile)
      try files.setAttributes([.posixPermissions: mode], ofItemAtPath: folder.path("tree/\(name)"))
    }
    let run: DecantRun
    if geteuid() == 0 {
      try files.setAttributes([.posixPermissions: 0o755], ofItemAtPath: folder.url.path)
      try files.copyItem(at: DecantProcess.binary, to: folder.url.appendingPathComponent("decant"))
      for name in ["tree/listed", "tree/searched"] {
        try files.setAttributes([.ownerAccountID: 65_534], ofItemAtPath: folder.path(name))
      }
      run = try DecantProcess.shell(
        "setpriv --reuid=65534 --regid=65534 --clear-groups ./decant scan tree --json", in: folder.url)
    } else {
      run = try scan("tree", "--json")
    }
    #expect(run.status == 2, "\(run.errors)")
    let errors = try #require(try object(run.output)["errors"] as? [[String: Any]])
    #expect(errors.map { $0["code"] as? String } == ["permissionDenied", "permissionDenied"])
  }

  /// Files that are not checkpoints are told by their content, whatever their names are.
  @Test func filesThatAreNotCheckpoints() throws {
    try FileManager.default.createDirectory(atPath: folder.path("m"), withIntermediateDirectories: true)
    let texts = [
      "README.md": "# A model", "LICENSE": "   Apache License", "config.json": "{\"a\": 1}",
      "merges.txt": "#version: 0.2\ne r",
      "labels.pkl": "cat\ndog\nbird\n", "i.txt": "I am\n", "empty": "", "notes.pth": "(lp0\nthis is text",
    ]
    for (name, text) in texts { _ = try folder.write("m/\(name)", Array(text.utf8)) }
    // A vocabulary of SentencePiece with one piece, and the start of a PNG.
    _ = try folder.write("m/tokenizer.model", [0x0A, 5, 0x0A, 3, 0x61, 0x62, 0x63])
    _ = try folder.write("m/logo", [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0])
    _ = try folder.write("m/w.pkl", clean)
    let run = try scan("m")
    #expect(run.status == 0)
    #expect(run.output == "clean  m/w.pkl\n1 file: 1 clean; 10 other files are not checkpoints\n")
    let document = try object(try scan("m", "--json").output)
    #expect(document["not_checkpoints"] as? Int == 10 && (document["files"] as? [Any])?.count == 1)
    #expect(
      document["verdicts"] as? [String: Int]
        == ["clean": 1, "unknown": 0, "dangerous": 0, "unreadable": 0])
    let rules = try #require(try object(try scan("--rules", "--json").output)["rules"] as? [[String: String]])
    #expect(rules.contains { $0["rule"] == "runs-code" && $0["meaning"]?.isEmpty == false })
    for name in ["README.md", "labels.pkl", "empty", "tokenizer.model", "logo"] {
      #expect(try scan("m/\(name)").status == 1, "\(name)")
    }
    // Text that calls or names something, data of no format, and damaged checkpoints fail.
    for bytes in [
      hostile, foreign, Array("cos\nsystem\nhello".utf8), [0, 1, 2], [0x80, 2, 0x7D], [0x1F, 0x8B, 8, 0, 0],
      [0x50, 0x4B, 3, 4],
    ] {
      _ = try folder.write("m/README.md", bytes)
      #expect(try scan("m").status == 1, "\(bytes)")
    }
  }

  /// The most dangerous files come first in text, and each has one advice. JSON keeps the order of the paths.
  @Test func textBeginsWithTheWorst() throws {
    let twice = Array("cos\nsystem\n(S'a'\ntR.cos\nsystem\n(S'a'\ntR.".utf8)
    _ = try folder.write("a.pkl", clean)
    _ = try folder.write("b.pkl", foreign)
    _ = try folder.write("c.pkl", twice)
    let run = try scan("a.pkl", "b.pkl", "c.pkl")
    let lines = run.output.split(separator: "\n").map(String.init)
    #expect(
      lines.filter { !$0.hasPrefix(" ") } == [
        "dangerous  c.pkl", "unknown  b.pkl", "clean  a.pkl", "3 files: 1 clean, 1 unknown, 1 dangerous",
      ])
    #expect(
      lines.filter { $0.contains("os.system: runs system commands") } == [
        "  dangerous: os.system: runs system commands (2 times)  [runs-code]"
      ])
    #expect(lines.filter { $0.hasPrefix("  → ") }.count == 2)
    let files = try #require(
      try object(try scan("a.pkl", "b.pkl", "c.pkl", "--json").output)["files"] as? [[String: Any]])
    #expect(files.map { $0["file"] as? String } == ["a.pkl", "b.pkl", "c.pkl"])
    #expect((files[2]["findings"] as? [Any])?.count == 3)
  }

  @Test func whatIsLeftOutIsSaid() throws {
    try FileManager.default.createDirectory(
      atPath: folder.path("model"), withIntermediateDirectories: true)
    _ = try folder.write("model/README.md", [0, 1, 2])
    _ = try folder.write("model/w.pkl", clean)
    #expect(try scan("model").status == 1)
    let run = try scan("model", "--skip", "*.md", "--skip", "*.json")
    #expect(run.status == 0)
    #expect(run.output == "clean  model/w.pkl\n1 file: 1 clean\n")
    #expect(run.errors == "decant: not scanned: model/README.md is left out\n")
  }

  /// The results are in the order of the paths for any number of threads.
  @Test func orderIsStable() throws {
    for index in 0..<200 { _ = try folder.write("f\(index).pkl", index.isMultiple(of: 7) ? hostile : clean) }
    let one = try scan(".", "--threads", "1")
    let many = try scan(".", "--threads", "8")
    #expect(one.output == many.output)
    #expect(one.output.hasSuffix("200 files: 171 clean, 29 dangerous\n"))
  }

  @Test func json() throws {
    _ = try folder.write("a.pkl", hostile)
    _ = try folder.write("b.pkl", clean)
    let run = try scan("a.pkl", "b.pkl", "--json")
    #expect(run.status == 1)
    let document = try object(run.output)
    #expect(document["schema"] as? Int == 1)
    let files = try #require(document["files"] as? [[String: Any]])
    #expect(files.map { $0["file"] as? String } == ["a.pkl", "b.pkl"])
    #expect(files.map { $0["verdict"] as? String } == ["dangerous", "clean"])
    #expect(files.map { $0["accounted"] as? Bool } == [true, true])
    let finding = try #require((files[0]["findings"] as? [[String: Any]])?.first)
    #expect(finding["severity"] as? String == "dangerous")
    #expect(finding["rule"] as? String == "runs-code")
    #expect(finding["offset"] as? Int == 24)
    #expect(finding["call"] as? String == "os.system('echo hi')")
    #expect(finding["what"] as? String == "os.system: runs system commands")
    #expect((files[1]["findings"] as? [Any])?.isEmpty == true)
  }

  /// The output has what SARIF 2.1.0 requires: version, runs, driver name, a message for every result, and valid
  /// references.
  @Test func sarif() throws {
    _ = try folder.write("a b.pkl", hostile)
    _ = try folder.write("c.pkl", foreign)
    let run = try scan("a b.pkl", "c.pkl", "--sarif")
    #expect(run.status == 1)
    let document = try object(run.output)
    #expect(document["version"] as? String == "2.1.0")
    let runs = try #require(document["runs"] as? [[String: Any]])
    #expect(runs.count == 1)
    let driver = try #require((runs[0]["tool"] as? [String: Any])?["driver"] as? [String: Any])
    #expect(driver["name"] as? String == "decant")
    let rules = try #require(driver["rules"] as? [[String: Any]])
    let identifiers = rules.compactMap { $0["id"] as? String }
    #expect(Set(identifiers).count == rules.count)
    let artifacts = try #require(runs[0]["artifacts"] as? [[String: Any]])
    let invocations = try #require(runs[0]["invocations"] as? [[String: Any]])
    #expect(invocations.allSatisfy { $0["executionSuccessful"] as? Bool == true })
    let results = try #require(runs[0]["results"] as? [[String: Any]])
    #expect(results.map { $0["level"] as? String } == ["error", "warning"])
    for result in results {
      let index = try #require(result["ruleIndex"] as? Int)
      #expect(identifiers[index] == result["ruleId"] as? String)
      #expect(((result["message"] as? [String: Any])?["text"] as? String)?.isEmpty == false)
      let location = try #require((result["locations"] as? [[String: Any]])?.first)
      let physical = try #require(location["physicalLocation"] as? [String: Any])
      let artifact = try #require(physical["artifactLocation"] as? [String: Any])
      let uri = try #require(artifact["uri"] as? String)
      let place = try #require(artifact["index"] as? Int)
      #expect((artifacts[place]["location"] as? [String: Any])?["uri"] as? String == uri)
      #expect(URL(string: uri) != nil)
      #expect(((physical["region"] as? [String: Any])?["byteOffset"] as? Int) ?? -1 >= 0)
    }
    #expect(
      artifacts.compactMap { ($0["location"] as? [String: Any])?["uri"] as? String } == [
        "a%20b.pkl", "c.pkl",
      ])
  }

  @Test func rulesAreThoseOfTheDocument() throws {
    let run = try scan("--rules")
    let text = try String(
      contentsOf: Fixtures.root.appending(path: "docs/SECURITY-MODEL.md"), encoding: .utf8)
    let lines = run.output.split(separator: "\n").dropFirst()
    #expect(lines.count > 40)
    for line in lines {
      let parts = line.split(separator: " ", maxSplits: 1)
      let meaning = parts[1].trimmingCharacters(in: .whitespaces)
      #expect(text.contains("| `\(parts[0])` | \(meaning) |"), "\(line)")
    }
  }

  private func object(_ text: String) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }
}
