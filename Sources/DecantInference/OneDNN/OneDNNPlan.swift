internal import COneDNN
internal import DecantIO

/// The operations of a network for one input size, in order, with the locations of their operands.
struct OneDNNPlan: Sendable {
  /// The location of an operand.
  enum Place: Sendable {
    /// The index of one of the caller's values, and a byte offset in it.
    case given(Int, Int)
    /// A byte offset in the run's memory.
    case memory(Int)
    case constant(AlignedBuffer<Float>)
  }

  struct Operand: Sendable {
    let role: OneDNNRole
    let layout: OneDNNLayout
    let place: Place
  }

  struct Instruction: Sendable {
    /// The node's name, for error messages.
    let name: String
    let work: Work
  }

  enum Work: Sendable {
    case execute(OneDNNOperation, [Operand])
    /// Fills a number of bytes with zeros.
    case zero(Place, byteCount: Int)
  }

  /// A value that can be read after some instructions are done.
  struct Result: Sendable {
    let value: Int
    let shape: ValueShape
    let layout: OneDNNLayout
    let place: Place
    /// The number of instructions after which the value is complete. Later instructions may overwrite it.
    let instructionCount: Int
  }

  let instructions: [Instruction]
  /// The results, in the order in which they are complete.
  let results: [Result]
  let memoryByteCount: Int
}

/// An assignment of byte offsets in one memory block to a run's values. Values whose lifetimes do not overlap may
/// share memory.
struct OneDNNMemoryPlan {
  /// The byte offset of each value; multiples of 64.
  let offsets: [Int]
  let byteCount: Int

  /// Places the largest values first, each at the lowest offset free during its lifetime. O(n²).
  ///
  /// - Parameter values: for each value, its byte count and the range of instructions that use it.
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
