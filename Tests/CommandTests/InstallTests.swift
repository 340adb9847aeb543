import Foundation
import TestSupport
import Testing

/// `make install` and `make uninstall`, in a folder of their own.
@Suite struct InstallTests {
  private static let script = Fixtures.root.appending(path: "Tests/Scripts/install.sh").path

  private static func files(below folder: URL) throws -> Set<String> {
    Set(try FileManager.default.subpathsOfDirectory(atPath: folder.path))
  }

  @Test func removesWhatItInstalled() throws {
    let folder = try TemporaryFolder()
    // A folder and a file of another package stay.
    _ = try folder.write("other", [])
    try FileManager.default.createDirectory(
      atPath: folder.path("opt/x/share/man/man1"), withIntermediateDirectories: true)
    try FileManager.default.copyItem(
      atPath: folder.path("other"), toPath: folder.path("opt/x/share/man/man1/other.1"))
    let before = try Self.files(below: folder.url)
    let install =
      "DESTDIR='\(folder.url.path)' WITHOUT_DOCC=1 '\(Self.script)' install /opt/x '\(DecantProcess.binary.path)'"
    let first = try DecantProcess.shell(install, in: Fixtures.root)
    #expect(first.status == 0, "\(first.errors)")
    let installed = try Self.files(below: folder.url)
    for name in [
      "bin/decant", "share/man/man1/decant.1", "share/man/man1/decant-inspect.1",
      "share/man/man1/decant-synthesize.1",
      "share/bash-completion/completions/decant", "share/zsh/site-functions/_decant",
      "share/fish/vendor_completions.d/decant.fish", "share/doc/decant/GUIDE.md",
      "share/doc/decant/formats/gguf.md",
      "share/doc/decant/installed.txt",
    ] { #expect(installed.contains("opt/x/\(name)"), "\(name)") }
    let run = try DecantProcess.shell("'\(folder.path("opt/x/bin/decant"))' --version", in: folder.url)
    #expect(run.output == (try DecantProcess.run(["--version"]).output))
    let remove = try DecantProcess.shell(
      "DESTDIR='\(folder.url.path)' '\(Self.script)' uninstall /opt/x", in: Fixtures.root)
    #expect(remove.status == 0, "\(remove.errors)")
    #expect(try Self.files(below: folder.url) == before)
    let again = try DecantProcess.shell(
      "DESTDIR='\(folder.url.path)' '\(Self.script)' uninstall /opt/x", in: Fixtures.root)
    #expect(again.status == 2)
    #expect(again.errors.contains("nothing was installed there"))
  }

  @Test func aPrefixIsAbsolute() throws {
    let run = try DecantProcess.shell("'\(Self.script)' install usr x", in: Fixtures.root)
    #expect(run.status == 2)
    #expect(run.errors == "error: PREFIX is an absolute path, not 'usr'\n")
  }
}
