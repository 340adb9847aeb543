internal import DecantBytes

/// The cost of listing a checkpoint, and the first limit that it exceeds.
///
/// A few bytes of pickle can share a container, a text or a path so often that their listing would fill any memory.
/// Therefore everything is counted before it is created.
struct ListingBudget {
  private let limits: Limits
  /// The number of paths that the number of pickled values allows.
  private let pathCapacity: Int
  private var visits = 0
  private var pathBytes = 0
  private var textBytes = 0
  private var modules = 0
  /// True when the listing must stop because values have too many paths, or too long ones.
  private(set) var isOverLimit = false
  /// The error that stops the listing; nil within the limits.
  private(set) var refusal: DecantError?

  /// - Parameter values: the number of values that the pickle made.
  init(_ limits: Limits, values: Int) {
    self.limits = limits
    let shared = values.multipliedReportingOverflow(by: limits.sharing)
    pathCapacity = shared.overflow ? .max : max(shared.partialValue, 100_000)
  }

  /// Counts values before they are listed. Returns false when there are too many.
  mutating func admit(visits count: Int) -> Bool {
    visits += count
    if visits > limits.paths {
      refuse(limits.exceeded(\.paths, seen: visits), "at least \(visits) paths lead to values")
    } else if visits > pathCapacity {
      refuse(limits.exceeded(\.sharing), "shared values have at least \(visits) paths")
    }
    return refusal == nil
  }

  /// Counts the keys and the text of a path. Returns false when all paths together are too long.
  mutating func admit(steps: Int, textBytes: Int) -> Bool {
    pathBytes += 40 * steps + textBytes
    if pathBytes > limits.pathBytes {
      refuse(
        limits.exceeded(\.pathBytes, seen: pathBytes), "the paths to values take at least \(pathBytes) bytes")
    }
    return refusal == nil
  }

  /// Returns true when a text is listed with its value. Other texts are listed by their length.
  mutating func listsText(byteCount: Int) -> Bool {
    guard byteCount <= limits.textBytes, textBytes + byteCount <= limits.allTextBytes else { return false }
    textBytes += byteCount
    return true
  }

  /// Returns true when the modules of a `_metadata` are listed one by one. Otherwise only their number is listed.
  mutating func listsModules(_ count: Int) -> Bool {
    guard count <= pathCapacity - modules else { return false }
    modules += count
    return true
  }

  private mutating func refuse(_ excess: Limits.Excess, _ subject: String) {
    if refusal == nil {
      isOverLimit = true
      refusal = DecantError(excess, subject)
    }
  }
}
