import Foundation
import TestSupport
import Testing

/// Tests of the fuzzer's manifest: it is a separate package that lists the library's modules again, and no test
/// builds it.
@Suite struct FuzzingPackageTests {
  /// Returns the dependencies of every target of a manifest.
  private static func dependencies(_ manifest: String) throws -> [String: Set<String>] {
    let text = try String(contentsOf: Fixtures.root.appending(path: manifest), encoding: .utf8)
    let target =
      #/\.(?:target|systemLibrary)\(\s*name: "(?<name>\w+)"(?:,\s*dependencies: \[(?<list>[^\]]*)\])?/#
    return Dictionary(
      uniqueKeysWithValues: text.matches(of: target).map { match in
        let list = (match.list ?? "").matches(of: #/"(\w+)"/#)
        return (String(match.name), Set(list.map { String($0.1) }))
      })
  }

  @Test func modulesDependOnTheSame() throws {
    let package = try Self.dependencies("Package.swift")
    let fuzzing = try Self.dependencies("Tests/Fuzzing/Package.swift")
    #expect(fuzzing.count > 10 && fuzzing["DecantTensors"]?.isEmpty == false)
    for (name, dependencies) in fuzzing {
      // The fuzzer compiles one file of TestSupport, which does not need all of its dependencies.
      let expected = name == "TestSupport" ? package[name]?.filter { fuzzing[$0] != nil } : package[name]
      #expect(dependencies == expected, "\(name)")
      for dependency in dependencies { #expect(fuzzing[dependency] != nil, "\(dependency) of \(name)") }
    }
  }
}
