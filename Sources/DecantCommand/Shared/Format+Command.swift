internal import DecantBytes
internal import DecantCheckpoints
internal import DecantTensors

/// Formats of names and numbers in the tool's output.
extension Format {
  /// Returns a name from a file, escaped. It is in quotes when it is empty or has spaces at an end.
  static func name(_ path: [PathKey]) -> String {
    if path.isEmpty { return "(the root)" }
    let name = path.joinedName.escapedForDisplay
    return name.isEmpty || name.hasPrefix(" ") || name.hasSuffix(" ") ? "\"\(name)\"" : name
  }

  /// Returns a quantised tensor's scheme, such as `(q - 3) × 0.0625`, or the number of scales.
  static func quantization(_ quantization: Quantization) -> String {
    switch quantization {
    case .perTensor(let scale, let zeroPoint): "(q - \(zeroPoint)) × \(scale)"
    case .perChannel(let scales, _, let axis, _):
      "\(count(scales.elementCount, "scale")) along axis \(axis)"
    }
  }

  /// Returns the number of bytes in a size such as `5GB`, `500MiB`, `20M` or `1000`, or nil for other text.
  static func byteCount(_ text: String) -> Int? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    let units: [String: Int] = [
      "": 1, "B": 1, "K": 1000, "KB": 1000, "M": 1_000_000, "MB": 1_000_000, "G": 1_000_000_000,
      "GB": 1_000_000_000, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30,
    ]
    guard let number = Int(digits), let unit = units[text.dropFirst(digits.count).uppercased()] else {
      return nil
    }
    return number.checkedMultiplying(by: unit)
  }

  /// Returns a duration in seconds.
  static func seconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
  }

  /// Returns a duration as text, in milliseconds below one second.
  static func duration(_ duration: Duration) -> String {
    let seconds = seconds(duration)
    return seconds < 1 ? fixed(seconds * 1000, 1) + " ms" : fixed(seconds, 2) + " s"
  }
}
