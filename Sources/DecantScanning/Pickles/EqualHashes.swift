internal import DecantPickle

/// The keys of one dictionary, or the elements of one set, to which CPython gives the same hash. It compares each with all
/// others before it, which takes quadratic time. Honest files have at most two: -1 and -2.
///
/// Texts and bytes are hashed with a secret, so only numbers and tuples of them can be chosen to be equal.
///
/// Source: CPython 3.13 `Python/pyhash.c` (`_Py_HashDouble`), `Objects/longobject.c` (`long_hash`),
/// `Objects/tupleobject.c` (`tuplehash`).
enum EqualHashes {
  /// The number of keys beyond which comparing them takes noticeable time.
  static let most = 1_000

  /// Returns the largest number of different keys with the same hash in one container; 0 when it is at most ``most``.
  /// O(values).
  static func largestGroup(in graph: PickleGraph) -> Int {
    var largest = 0
    func judge(_ keys: [PickleValue]) {
      guard keys.count > most else { return }
      largest = max(largest, largestGroup(of: keys, in: graph))
    }
    for node in graph.nodes {
      switch node {
      case .dictionary(let pairs): judge(pairs.map(\.key))
      case .set(let elements), .frozenSet(let elements): judge(elements)
      case .object(let object):
        judge(object.pairs.map(\.key))
        judge(object.items)
        // Calls such as `set([…])` and `OrderedDict([(key, value), …])`.
        guard let argument = graph.tuple(object.arguments)?.first else { continue }
        let elements = graph.list(argument) ?? graph.tuple(argument) ?? []
        judge(elements)
        if elements.count > most { judge(elements.compactMap { graph.tuple($0)?.first }) }
      default: break
      }
    }
    return largest
  }

  private static func largestGroup(of keys: [PickleValue], in graph: PickleGraph) -> Int {
    var counts: [Int: Int] = [:]
    for key in keys { if let hash = hash(key, in: graph, depth: 0) { counts[hash, default: 0] += 1 } }
    guard let (common, count) = counts.max(by: { $0.value < $1.value }), count > most else { return 0 }
    // One key that is set again and again is found at once.
    var distinct: Set<[UInt8]> = []
    for key in keys where hash(key, in: graph, depth: 0) == common {
      distinct.insert(identity(key, in: graph))
    }
    return distinct.count > most ? distinct.count : 0
  }

  /// Returns bytes that differ for different keys.
  private static func identity(_ key: PickleValue, in graph: PickleGraph) -> [UInt8] {
    if case .node(let id) = key, case .longInteger(let bytes) = graph[id] { return bytes }
    return Array("\(key)".utf8)
  }

  /// The prime that CPython computes hashes of numbers by.
  private static let prime = (UInt64(1) << 61) - 1
  private static let deepest = 16

  /// Returns the hash of a number or a tuple on 64-bit machines; nil for other values, and for tuples with them.
  private static func hash(_ value: PickleValue, in graph: PickleGraph, depth: Int) -> Int? {
    switch value {
    case .none: return nil
    case .bool(let flag): return flag ? 1 : 0
    case .int(let number): return signed(number.magnitude % prime, isNegative: number < 0)
    case .float(let number): return number.isFinite ? hash(number) : nil
    case .node(let id):
      switch graph[id] {
      case .longInteger(let bytes): return hash(bytes)
      case .tuple(let elements):
        guard depth < deepest, elements.count <= 64 else { return nil }
        var hashes: [Int] = []
        for element in elements {
          guard let one = hash(element, in: graph, depth: depth + 1) else { return nil }
          hashes.append(one)
        }
        return combined(hashes)
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
