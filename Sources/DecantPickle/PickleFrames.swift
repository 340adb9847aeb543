/// How an unpickler reads a frame whose end cuts an opcode.
package enum PickleFrameReading: Sendable, CaseIterable {
  /// Frames have no effect. `pickle.loads` reads so, and a file whose buffer holds the whole frame.
  case straight
  /// The rest of the frame is dropped, except before the content of `bytes`: CPython 3.8 to 3.14 from a file.
  case dropsRest
  /// The rest of the frame is always dropped: CPython 3.4 to 3.7 from a file.
  case dropsRestAlways
}

/// An opcode that the end of an open frame cuts, or that ends or opens a frame inside another.
///
/// Unpicklers disagree about such a stream: some read on, some drop the rest of the frame, some raise an error.
package struct PickleFrameCrossing: Sendable, Equatable {
  package enum Kind: Sendable {
    /// The argument of the opcode crosses the end.
    case argument
    /// A frame begins and ends in another one.
    case nestedFrame
    /// The stream stops before the end.
    case stop
  }

  package let kind: Kind
  package let opcode: PickleOpcode
  /// The offset of the opcode in bytes from the start of the stream.
  package let offset: Int
  /// The offset of the frame's end.
  package let frameEnd: Int

  /// The warning of a reader, which reads on. `pickle` names the stream.
  package func warning(_ pickle: String) -> String {
    "\(pickle): \(description), so that CPython may read another program; decant scan judges both"
  }

  /// A clause that says what crosses the end, and where.
  package var description: String {
    switch kind {
    case .argument: "\(opcode.name) at byte \(offset) crosses the end of its frame at byte \(frameEnd)"
    case .nestedFrame: "a frame at byte \(offset) lies inside another, which ends at byte \(frameEnd)"
    case .stop: "STOP at byte \(offset) comes before the end of its frame at byte \(frameEnd)"
    }
  }
}

/// The memo key of GET and PUT.
enum PickleMemoKey {
  case index(Int)
  /// A key that is not an integer.
  case text([UInt8])
}
