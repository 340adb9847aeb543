internal import DecantBytes

/// What the listing of a checkpoint may cost, and the first limit it met.
///
/// A few bytes of pickle can share a container, a text or a path so often that listing them would fill any memory;
/// so everything is counted before it is made.
struct ListingBudget {
  private let limits: Limits
  /// Paths that the pickle's own size allows.
  private let allowedByContent: Int
  private var visits = 0
  private var pathBytes = 0
  private var textBytes = 0
  private var modules = 0
  /// Whether it must stop because values stand under too many paths, or too long ones.
  private(set) var isCrowded = false
  /// Why the listing must stop.
  private(set) var refusal: DecantError?

  /// - Parameter values: How many values the pickle made.
  init(_ limits: Limits, values: Int) {
    self.limits = limits
    let shared = values.multipliedReportingOverflow(by: limits.sharing)
    allowedByContent = shared.overflow ? .max : max(shared.partialValue, 100_000)
  }

  /// Counts values that are to be listed; false when they are too many.
  mutating func admit(visits count: Int) -> Bool {
    visits += count
    if visits > limits.paths {
      refuse(limits.exceeded(\.paths, seen: visits), "at least \(visits) paths lead to values")
    } else if visits > allowedByContent {
      refuse(limits.exceeded(\.sharing), "shared values have at least \(visits) paths")
    }
    return refusal == nil
  }

  /// Counts the steps and the text of a path; false when all paths together are too long.
  mutating func admit(steps: Int, textBytes: Int) -> Bool {
    pathBytes += 40 * steps + textBytes
    if pathBytes > limits.pathBytes {
      refuse(
        limits.exceeded(\.pathBytes, seen: pathBytes), "the paths to values take at least \(pathBytes) bytes")
    }
    return refusal == nil
  }

  /// Whether a text is listed with its value; the others are listed by their length.
  mutating func listsText(byteCount: Int) -> Bool {
    guard byteCount <= limits.textBytes, textBytes + byteCount <= limits.allTextBytes else { return false }
    textBytes += byteCount
    return true
  }

  /// Whether the modules of a `_metadata` are listed one by one; those of the others are counted.
  mutating func listsModules(_ count: Int) -> Bool {
    guard count <= allowedByContent - modules else { return false }
    modules += count
    return true
  }

  private mutating func refuse(_ excess: Limits.Excess, _ subject: String) {
    if refusal == nil {
      isCrowded = true
      refusal = DecantError(excess, subject)
    }
  }
}
