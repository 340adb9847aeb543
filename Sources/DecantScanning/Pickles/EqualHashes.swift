internal import DecantPickle

/// The keys of one dictionary, or the elements of one set, to which CPython gives the same hash. It compares each with all
/// others before it, which takes quadratic time. Honest files have at most two: -1 and -2.
///
/// Texts and bytes are hashed with a secret, so only numbers and tuples of them can be chosen to be equal.
///
/// Source: CPython 3.13 `Python/pyhash.c` (`_Py_HashDouble`), `Objects/longobject.c` (`long_hash`),
/// `Objects/tupleobject.c` (`tuplehash`).
struct EqualHashes {
  /// The number of keys beyond which comparing them takes noticeable time.
  private static let most = 1_000

  private let graph: PickleGraph
  /// The lists and tuples of arguments that were judged. Calls may share them.
  private var judged: Set<Int32> = []
  /// The elements of tuples that may still be hashed. Tuples may share each other.
  private var elementsLeft = 0
  private var largest = 0

  private init(_ graph: PickleGraph) { self.graph = graph }

  /// Returns the largest number of different keys with the same hash in one container; 0 when it is at most 1,000.
  /// O(values).
  static func largestGroup(in graph: PickleGraph) -> Int {
    var search = EqualHashes(graph)
    for node in graph.nodes {
      switch node {
      case .dictionary(let pairs): if pairs.count > most { search.judge(pairs.map(\.key)) }
      case .set(let elements), .frozenSet(let elements): search.judge(elements)
      case .object(let object):
        if object.pairs.count > most { search.judge(object.pairs.map(\.key)) }
        search.judge(object.items)
        search.judge(argumentsOf: object)
      default: break
      }
    }
    return search.largest
  }

  /// Judges the elements of a call such as `set([…])` or `OrderedDict([(key, value), …])`.
  private mutating func judge(argumentsOf object: PickleObject) {
    guard let argument = graph.tuple(object.arguments)?.first, case .node(let id) = argument,
      let elements = graph.list(argument) ?? graph.tuple(argument), elements.count > Self.most,
      judged.insert(id.index).inserted
    else { return }
    judge(elements)
    judge(elements.compactMap { graph.tuple($0)?.first })
  }

  private mutating func judge(_ keys: [PickleValue]) {
    guard keys.count > Self.most else { return }
    elementsLeft = 16 * keys.count
    let hashes = keys.map { hash($0, depth: 0) }
    var counts: [Int: Int] = [:]
    for hash in hashes { if let hash { counts[hash, default: 0] += 1 } }
    guard let (common, count) = counts.max(by: { $0.value < $1.value }), count > Self.most else { return }
    // One key that is set again and again is found at once.
    var distinct: Set<[UInt8]> = []
    for (key, hash) in zip(keys, hashes) where hash == common { distinct.insert(identity(key)) }
    if distinct.count > Self.most { largest = max(largest, distinct.count) }
  }

  /// Returns bytes that differ for different keys.
  private func identity(_ key: PickleValue) -> [UInt8] {
    if case .node(let id) = key, case .longInteger(let bytes) = graph[id] { return bytes }
    return Array("\(key)".utf8)
  }

  /// The prime that CPython computes hashes of numbers by.
  private static let prime = (UInt64(1) << 61) - 1
  private static let deepest = 16

  /// Returns the hash of a number or a tuple on 64-bit machines; nil for other values, and for tuples with them.
  private mutating func hash(_ value: PickleValue, depth: Int) -> Int? {
    switch value {
    case .none: return nil
    case .bool(let flag): return flag ? 1 : 0
    case .int(let number): return Self.signed(number.magnitude % Self.prime, isNegative: number < 0)
    case .float(let number): return number.isFinite ? Self.hash(number) : nil
    case .node(let id):
      switch graph[id] {
      case .longInteger(let bytes): return Self.hash(bytes)
      case .tuple(let elements):
        elementsLeft -= elements.count
        guard depth < Self.deepest, elementsLeft >= 0 else { return nil }
        var hashes: [Int] = []
        for element in elements {
          guard let one = hash(element, depth: depth + 1) else { return nil }
          hashes.append(one)
        }
        return Self.combined(hashes)
      default: return nil
      }
    }
  }

  private static func signed(_ magnitude: UInt64, isNegative: Bool) -> Int {
    let hash = isNegative ? -Int(magnitude) : Int(magnitude)
    return hash == -1 ? -2 : hash
  }

  /// Returns the hash of an integer in two's complement, little-endian.
  private static func hash(_ bytes: [UInt8]) -> Int {
    let isNegative = (bytes.last ?? 0) & 0x80 != 0
    // The remainder of the bits, and of the power of two that a negative number lacks.
    var (remainder, power) = (UInt64(0), UInt64(1))
    for byte in bytes.reversed() {
      remainder = (remainder.multipliedByPowerOfTwo(8) + UInt64(byte)) % prime
      if isNegative { power = power.multipliedByPowerOfTwo(8) }
    }
    return signed(isNegative ? (power + prime - remainder) % prime : remainder, isNegative: isNegative)
  }

  private static func hash(_ number: Double) -> Int {
    guard number != 0 else { return 0 }
    let significand = number.significandBitPattern | (number.isNormal ? 1 << 52 : 0)
    let exponent = (number.isNormal ? Int(number.exponent) : -1022) - 52
    let shift = (exponent % 61 + 61) % 61
    return signed(
      significand.multipliedByPowerOfTwo(shift) % prime, isNegative: number < 0)
  }

  /// Returns the hash of a tuple with these hashes of its elements, since CPython 3.8.
  private static func combined(_ hashes: [Int]) -> Int {
    let primes: (UInt64, UInt64, UInt64) = (
      11_400_714_785_074_694_791, 14_029_467_366_897_019_727, 2_870_177_450_012_600_261
    )
    var sum = primes.2
    for hash in hashes {
      sum &+= UInt64(bitPattern: Int64(hash)) &* primes.1
      sum = (sum << 31 | sum >> 33) &* primes.0
    }
    sum &+= UInt64(hashes.count) ^ (primes.2 ^ 3_527_539)
    return sum == .max ? 1_546_275_796 : Int(Int64(bitPattern: sum))
  }
}

extension UInt64 {
  /// Returns the product modulo 2^61 - 1, for a number of at most 61 bits. Multiplication by a power of two rotates it.
  ///
  /// - Parameter exponent: from 0 to 60.
  fileprivate func multipliedByPowerOfTwo(_ exponent: Int) -> UInt64 {
    let mask = (UInt64(1) << 61) - 1
    let reduced = self & mask
    let rotated = (reduced << UInt64(exponent) | reduced >> UInt64(61 - exponent)) & mask
    return rotated == mask ? 0 : rotated
  }
}
