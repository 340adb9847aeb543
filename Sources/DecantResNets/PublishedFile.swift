/// A published file of weights whose name contains the first digits of its SHA-256.
package struct PublishedFile: Sendable, Equatable {
  /// The first eight hexadecimal digits of the file's SHA-256.
  package let digest: String
  /// The network's name in ``ResNetArchitecture/all``.
  package let architecture: String
  /// The size of the file in thousandths of a MiB, as torchvision publishes it.
  let size: Int

  /// Every known published file. Source: the URLs and sizes in torchvision `models/resnet.py`, 0.2 to 0.28. The sizes of
  /// files from before 0.13 are those of the files.
  package static let all: [PublishedFile] = [
    ("resnet18", [("f37072fd", 44_661), ("5c106cde", 44_658)]),
    ("resnet34", [("b627a593", 83_275), ("333f7ec4", 83_262)]),
    ("resnet50", [("0676ba61", 97_781), ("11ad3fa6", 97_790), ("19c8e357", 97_754)]),
    ("resnet101", [("63fe2227", 170_511), ("cd907fc2", 170_530), ("5d3b4d8f", 170_449)]),
    ("resnet152", [("394f9c45", 230_434), ("f82ba261", 230_474), ("b121ed2d", 230_342)]),
    ("resnext50_32x4d", [("7cdf4587", 95_789), ("1a0047aa", 95_833)]),
    ("resnext101_32x8d", [("8ba56ff5", 339_586), ("110c445d", 339_673)]),
    ("resnext101_64x4d", [("173b62eb", 319_318)]),
    ("wide_resnet50_2", [("95faca4d", 131_820), ("9ba9bcbe", 263_124)]),
    ("wide_resnet101_2", [("32ee1156", 242_896), ("d733dc28", 484_747)]),
  ].flatMap { name, files in
    files.map { PublishedFile(digest: $0.0, architecture: name, size: $0.1) }
  }

  /// Returns the names of the networks that have a published file of this size.
  package static func architectures(ofByteCount count: Int) -> [String] {
    // Published sizes are rounded, and not always to the nearest.
    let size = Int((Double(count) * 1000 / Double(1 << 20)).rounded())
    return all.filter { abs($0.size - size) <= 1 }.map(\.architecture)
  }

  /// Returns the published file with a SHA-256 in lower-case hexadecimal; nil when it is unknown.
  package static func of(sha256: String) -> PublishedFile? { all.first { sha256.hasPrefix($0.digest) } }

  /// Returns the first digits of the SHA-256 that a file's name claims; nil when it claims none.
  ///
  /// `resnet50-0676ba61.pth` claims `0676ba61`. PyTorch's `model_zoo` checks these digits after a download: eight or
  /// more hexadecimal digits after the last dash.
  package static func claimedDigest(inFileName name: String) -> String? {
    let stem = name.split(separator: "/").last.map { $0.prefix { $0 != "." } } ?? ""
    guard let dash = stem.lastIndex(of: "-") else { return nil }
    let digits = stem[stem.index(after: dash)...]
    let isDigest =
      8...64 ~= digits.utf8.count
      && digits.utf8.allSatisfy { byte in
        UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || UInt8(ascii: "a")...UInt8(ascii: "f") ~= byte
      }
    return isDigest ? String(digits) : nil
  }
}
