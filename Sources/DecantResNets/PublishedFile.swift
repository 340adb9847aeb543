/// A published file of weights whose name contains the first digits of its SHA-256.
package struct PublishedFile: Sendable, Equatable {
  /// The first eight hexadecimal digits of the file's SHA-256.
  package let digest: String
  /// The network's name in ``ResNetArchitecture/all``.
  package let architecture: String

  /// Every known published file. Source: the URLs in torchvision `models/resnet.py`, 0.2 to 0.28.
  package static let all: [PublishedFile] = [
    ("resnet18", ["f37072fd", "5c106cde"]), ("resnet34", ["b627a593", "333f7ec4"]),
    ("resnet50", ["0676ba61", "11ad3fa6", "19c8e357"]),
    ("resnet101", ["63fe2227", "cd907fc2", "5d3b4d8f"]),
    ("resnet152", ["394f9c45", "f82ba261", "b121ed2d"]), ("resnext50_32x4d", ["7cdf4587", "1a0047aa"]),
    ("resnext101_32x8d", ["8ba56ff5", "110c445d"]), ("resnext101_64x4d", ["173b62eb"]),
    ("wide_resnet50_2", ["95faca4d", "9ba9bcbe"]), ("wide_resnet101_2", ["32ee1156", "d733dc28"]),
  ].flatMap { name, digests in digests.map { PublishedFile(digest: $0, architecture: name) } }

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
