/// What is wrong with a tensor: one clause, without a full stop.
public struct TensorError: Error, Sendable, Equatable, CustomStringConvertible {
  public let reason: String

  /// Makes an error.
  public init(_ reason: String) { self.reason = reason }

  public var description: String { reason }
}
