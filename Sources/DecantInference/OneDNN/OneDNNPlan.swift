internal import DecantIO
internal import COneDNN

/// Steps of a network prepared for one size: operations in order, and where what they read and write lies.
struct OneDNNPlan: Sendable {
  /// Where an operand lies.
  enum Place: Sendable {
    /// So many bytes into the n-th of the caller's values.
    case given(Int, Int)
    /// So many bytes into the run's memory.
    case memory(Int)
    case constant(AlignedBuffer<Float>)
  }

  struct Operand: Sendable {
    let role: OneDNNRole
    let layout: OneDNNLayout
    let place: Place
  }

  struct Instruction: Sendable {
    /// The node's name, for messages.
    let name: String
    let work: Work
  }

  enum Work: Sendable {
    case execute(OneDNNOperation, [Operand])
    /// So many bytes become zero.
    case zero(Place, byteCount: Int)
  }

  /// A value that can be handed out once some instructions are done.
  struct Result: Sendable {
    let value: Int
    let shape: ValueShape
    let layout: OneDNNLayout
    let place: Place
    /// The instructions that must be done, and the one after which it may be overwritten.
    let instructionCount: Int
  }

  let instructions: [Instruction]
  /// In the order in which they come.
  let results: [Result]
  let memoryByteCount: Int
}

/// Gives each of a run's values a place in one piece of memory, which values that do not live at the same time share.
struct OneDNNMemoryPlan {
  /// Where each value begins, in bytes; multiples of 64.
  let offsets: [Int]
  let byteCount: Int

  /// - Parameter values: for each the bytes, and the first and last instruction that touches it.
  ///
  /// Largest first, each as low as those allow that live at the same time. O(n²).
  init(_ values: [(byteCount: Int, lifetime: ClosedRange<Int>)]) {
    var offsets = [Int](repeating: 0, count: values.count)
    var placed: [Int] = []
    var end = 0
    for index in values.indices.sorted(by: { (values[$1].byteCount, $0) < (values[$0].byteCount, $1) }) {
      let size = (values[index].byteCount + 63) / 64 * 64
      var offset = 0
      let others = placed.filter { values[$0].lifetime.overlaps(values[index].lifetime) }
      for other in others.sorted(by: { offsets[$0] < offsets[$1] }) {
        if offset + size <= offsets[other] { break }
        offset = max(offset, offsets[other] + (values[other].byteCount + 63) / 64 * 64)
      }
      offsets[index] = offset
      placed.append(index)
      end = max(end, offset + size)
    }
    self.offsets = offsets
    byteCount = end
  }
}
