/// Changes inputs by their structure, so that readers still accept the rest.
///
/// A random change to a zip is refused for its checksum, and one to a pickle for its lengths, long before it reaches
/// the code that builds tensors. This type splits the container, changes one part, and puts it together again with
/// valid lengths and checksums.
package struct Mutation<Generator: RandomNumberGenerator> {
  package var generator: Generator
  /// Changes bytes as libFuzzer does, which knows the dictionary and the values that the code compares with.
  private let mutateBytes: ([UInt8], inout Generator) -> [UInt8]

  package init(_ generator: Generator, bytes: @escaping ([UInt8], inout Generator) -> [UInt8]) {
    self.generator = generator
    mutateBytes = bytes
  }

  /// Returns a changed input.
  package mutating func mutate(_ bytes: [UInt8], depth: Int = 0) -> [UInt8] {
    if chance(1, of: 4) { return mutateBytes(bytes, &generator) }
    if depth < 3, var envelope = ContainerParts(bytes), let index = choosePart(of: envelope) {
      envelope.parts[index] = mutate(envelope.parts[index], depth: depth + 1)
      return envelope.sealed()
    }
    let stream = OpcodeStream(bytes)
    guard stream.tokens.count > 1, chance(4, of: 5) else { return mutateBytes(bytes, &generator) }
    var mutator = stream
    for _ in 0..<Int.random(in: 1...4, using: &generator) { mutator.change(using: &generator) }
    return mutator.bytes
  }

  /// Returns the index of a part to change, usually one that looks like a pickle, since pickles decide what the readers
  /// do.
  private mutating func choosePart(of envelope: ContainerParts) -> Int? {
    let pickles = envelope.parts.indices.filter { envelope.parts[$0].starts(with: [0x80]) }
    if let pickle = pickles.randomElement(using: &generator), chance(5, of: 6) { return pickle }
    return envelope.parts.indices.randomElement(using: &generator)
  }

  private mutating func chance(_ part: Int, of whole: Int) -> Bool {
    Int.random(in: 0..<whole, using: &generator) < part
  }
}

/// A SplitMix64 generator: small, seeded, and the same on every platform.
package struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  package init(seed: UInt64) { state = seed }
  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }
}
