public import ByteParsing
public struct PickleError: Error, Sendable, CustomStringConvertible { public let offset: Int; public let reason: String; public var description: String { reason } }
public struct PickleMachine {
  public static func interpret(_ bytes: RawSpan, limits: Limits = Limits()) throws(PickleError) -> PickleGraph { throw PickleError(offset: 0, reason: "stub") }
}
