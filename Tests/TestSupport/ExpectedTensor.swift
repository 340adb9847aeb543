import Foundation

/// A tensor's properties as PyTorch recorded them when it wrote a fixture.
package struct ExpectedTensor: Equatable, CustomStringConvertible {
  package var path: String
  package let dtype: String
  package let shape: [Int]
  package var strides: [Int]
  package var storageOffset: Int
  package let sha256: String
  package let layout: String
  package let parts: [String]

  package var description: String {
    "\(path) \(dtype) \(shape) \(strides) +\(storageOffset) \(sha256.prefix(8))"
  }

  /// The expected tensors of `fixtures/torch/expected.json`, by file.
  package static let all = read("torch/expected.json")

  /// Reads a file of expected tensors, by the fixture's file name.
  package static func read(_ name: String) -> [String: [ExpectedTensor]] {
    guard let data = FileManager.default.contents(atPath: Fixtures.path(name)),
      let json = try? JSONSerialization.jsonObject(with: data) as? [String: [String: Any]]
    else { return [:] }
    return json.mapValues { file in
      (file["tensors"] as? [[String: Any]] ?? []).map(ExpectedTensor.init)
    }
  }

  /// Creates the record of a tensor that was read.
  package init(
    path: String, dtype: String, shape: [Int], strides: [Int], storageOffset: Int, sha256: String,
    layout: String,
    parts: [String]
  ) {
    self.path = path
    self.dtype = dtype
    self.shape = shape
    self.strides = strides
    self.storageOffset = storageOffset
    self.sha256 = sha256
    self.layout = layout
    self.parts = parts
  }

  /// Creates the record of a tensor in `expected.json`.
  package init(_ tensor: [String: Any]) {
    path = Self.spell(tensor["path"] as? [Any] ?? [])
    dtype = tensor["dtype"] as? String ?? ""
    shape = tensor["shape"] as? [Int] ?? []
    strides = tensor["strides"] as? [Int] ?? []
    storageOffset = tensor["storage_offset"] as? Int ?? -1
    sha256 = tensor["sha256"] as? String ?? "no data"
    layout = tensor["layout"] as? String ?? "strided"
    parts = (tensor["parts"] as? [[String: String]] ?? []).map {
      "\($0["name"] ?? "") \($0["sha256"] ?? "")"
    }
  }

  /// The same tensor without strides and offset, for containers that do not keep the memory layout.
  package var withoutPlace: ExpectedTensor {
    var record = self
    (record.strides, record.storageOffset) = ([], 0)
    return record
  }

  private static func spell(_ path: [Any]) -> String {
    path.map { step in
      if let step = step as? String { return "'\(step)'" }
      if let step = step as? [String: String] { return "python " + (step["python"] ?? "") }
      return "\(step)"
    }.joined(separator: " / ")
  }
}
