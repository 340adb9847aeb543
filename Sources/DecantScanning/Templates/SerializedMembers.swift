internal import DecantBytes

/// The pickles in the settings of Stable-Baselines3: members `":serialized:"` of a JSON text, in base64. Loading the
/// archive decodes and loads each of them with cloudpickle.
///
/// Source: Stable-Baselines3 2 `stable_baselines3/common/save_util.py`, `json_to_data`.
struct SerializedMembers {
  private static let key = ":serialized:"

  /// The pickles, each with the path of its member.
  private(set) var pickles: [(path: String, bytes: [UInt8])] = []
  /// True when the text may hold pickles and was not read to its end.
  private(set) var isCut = false

  /// Reads a JSON text. Finds nothing in other texts. O(bytes).
  init(_ text: RawSpan, limits: Limits) {
    guard text.byteCount <= limits.headerBytes, let json = try? JSONValue(parsing: text) else {
      // A name can be escaped in JSON, so any text that may be an object counts.
      let mayHold = text.first(Array("serialized".utf8), in: 0..<text.byteCount) != nil
      isCut = mayHold || text.byteCount > limits.headerBytes && text.byte(0) == 0x7B
      return
    }
    collect(json, at: "")
  }

  private mutating func collect(_ value: JSONValue, at path: String) {
    switch value {
    case .object(let members):
      for (key, member) in members {
        if key == Self.key, let text = member.string {
          pickles.append((path, Self.decoded(text)))
        } else {
          collect(member, at: path.isEmpty ? key : path + "." + key)
        }
      }
    case .array(let elements): for element in elements { collect(element, at: path) }
    default: break
    }
  }

  /// Decodes base64 as Python does: other characters are skipped, and padding ends the data.
  private static func decoded(_ text: String) -> [UInt8] {
    var bytes: [UInt8] = []
    var (bits, count, padding) = (UInt32(0), 0, 0)
    for character in text.utf8 {
      let value: UInt8
      switch character {
      case 0x41...0x5A: value = character - 0x41
      case 0x61...0x7A: value = character - 0x61 + 26
      case 0x30...0x39: value = character - 0x30 + 52
      case 0x2B: value = 62
      case 0x2F: value = 63
      case 0x3D:
        padding += 1
        if count % 4 >= 2, count % 4 + padding >= 4 { return bytes }
        continue
      default: continue
      }
      padding = 0
      bits = bits << 6 | UInt32(value)
      count += 1
      switch count % 4 {
      case 2: bytes.append(UInt8(truncatingIfNeeded: bits >> 4))
      case 3: bytes.append(UInt8(truncatingIfNeeded: bits >> 2))
      case 0: bytes.append(UInt8(truncatingIfNeeded: bits))
      default: break
      }
    }
    return bytes
  }
}

extension ContentScan {
  /// Scans a member of an archive that PyTorch did not write, and that is not a format that the scanner reads. Returns
  /// false when it is not a text, vocabulary or picture either.
  func scanCompanion(_ content: RawSpan, in place: String) -> Bool {
    guard CompanionFile.recognises(content, nil, audit) else { return false }
    let members = SerializedMembers(content, limits: audit.limits)
    for pickle in members.pickles {
      let label = join(place, String(pickle.path.prefix(80)).escapedForDisplay)
      if unsafe inside(as: .pickle).scan(pickle.bytes.span.bytes, in: label) == nil {
        audit.report(.unknown, .brokenPickle, in: label, at: 0, "it is loaded as a pickle, and is none")
      }
    }
    if members.isCut {
      audit.report(
        .unknown, .limit, in: place, at: 0, "a text that may hold pickles, and cannot be read to its end")
    }
    return true
  }
}
