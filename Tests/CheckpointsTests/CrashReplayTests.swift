import FuzzTargets
import TestSupport
import Testing

/// Inputs that once crashed, hung or cost much memory, and seeds changed as the fuzzer changes them.
///
/// Everything a fuzz target asks of a reader is asked; a trap would end the test process.
@Suite struct CrashReplayTests {
  @Test(arguments: FuzzTarget.allCases)
  func everyCrash(_ target: FuzzTarget) throws {
    for name in Fixtures.names(in: "crashes/" + target.rawValue, endingIn: "") {
      target.run(try Fixtures.bytes("crashes/\(target.rawValue)/\(name)"))
    }
  }

  /// Where each target's seeds lie.
  private static let seeds: [FuzzTarget: (folder: String, suffix: String)] = [
    .pickle: ("pickles", ".pkl"), .zip: ("torch", ".pth"), .safetensors: ("torch", ".safetensors"),
  ]

  @Test(arguments: FuzzTarget.allCases)
  func survivesMutation(_ target: FuzzTarget) throws {
    let (folder, suffix) = try #require(Self.seeds[target])
    let seeds = try Fixtures.names(in: folder, endingIn: suffix).map { try Fixtures.bytes("\(folder)/\($0)") }
      .filter { $0.count < 8_000 }
    try #require(!seeds.isEmpty)
    var mutation = Mutation(SeededGenerator(seed: 3)) { bytes, generator in
      var bytes = bytes
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        guard let place = bytes.indices.randomElement(using: &generator) else { break }
        bytes[place] = UInt8.random(in: 0...255, using: &generator)
      }
      return bytes
    }
    for round in 0..<300 {
      let seed = seeds[round % seeds.count]
      let input = mutation.mutate(seed)
      target.run(input)
      target.run(mutation.mutate(input))
    }
  }
}
