internal import DecantBytes

/// The tiling of a tensor by boxes. Proves that every element lies in exactly one box, and finds that box.
///
/// The tensor is cut along its first axis wherever a box begins or ends. Each band is cut along the second axis, and
/// so on. A band that one box fills is not cut further. Layouts that sharding makes cost as many bands as boxes.
struct ChunkLayout: Sendable {
  /// The tensor's shape, outermost axis first, followed by the number of bytes of an element.
  private let sizes: [Int]
  /// The distance in bytes between neighbours along each axis of the tensor. Each box has its own `strides`.
  private let strides: [Int]
  private let boxes: [Box]
  private var nodes: [Node] = []
  private var root = Node.Target.box(0)

  private struct Box: Sendable {
    let lower: [Int]
    let upper: [Int]
    let strides: [Int]
  }

  /// A cut of the tensor, or of a band of it, along one axis.
  private struct Node: Sendable {
    enum Target: Sendable {
      case box(Int)
      case node(Int)
    }
    /// The index at which each band begins, ascending from 0. `targets` holds the box or node of each band.
    var starts: [Int] = []
    var targets: [Target] = []
    /// The end of the last band: the size of the axis.
    var end = 0
  }

  /// Creates a layout and proves that the boxes tile the tensor. Boxes without elements are left out.
  ///
  /// - Throws: ``DecantError`` when an element lies in no box or in two, or when the boxes interlock so much that
  ///   finding one would be slow. O(boxes · rank) for layouts that sharding makes.
  init(shape: [Int], elementByteCount: Int, boxes given: [(offsets: [Int], sizes: [Int])])
    throws(DecantError)
  {
    sizes = shape + [elementByteCount]
    strides = ChunkLayout.strides(sizes)
    for box in given {
      guard box.offsets.count == shape.count, box.sizes.count == shape.count else {
        throw DecantError(.damaged, "a chunk has \(box.sizes.count) sizes and the tensor \(shape.count)")
      }
      for axis in shape.indices {
        guard let end = box.offsets[axis].checkedAdding(box.sizes[axis]), end <= shape[axis] else {
          throw DecantError(
            .damaged,
            "the chunk of sizes \(box.sizes) at \(box.offsets) exceeds the tensor's shape \(shape)")
        }
      }
    }
    boxes = given.map { box in
      Box(
        lower: box.offsets + [0], upper: zip(box.offsets, box.sizes).map { $0 + $1 } + [elementByteCount],
        strides: ChunkLayout.strides(box.sizes + [elementByteCount]))
    }
    guard checkedProduct(shape) != 0 else { return }
    let filled = given.indices.filter { !given[$0].sizes.contains(0) }
    var budget = 100_000 + 16 * given.count
    root = try cut(filled, axis: 0, corner: [], &budget)
  }

  private mutating func cut(
    _ members: [Int], axis: Int, corner: [Int], _ budget: inout Int
  ) throws(DecantError) -> Node.Target {
    guard let first = members.first else {
      let place = corner + [Int](repeating: 0, count: max(0, sizes.count - 1 - corner.count))
      throw DecantError(.damaged, "no chunk holds the element at \(place)")
    }
    if members.count == 1,
      (axis..<sizes.count).allSatisfy({ boxes[first].lower[$0] == 0 && boxes[first].upper[$0] == sizes[$0] })
    {
      return .box(first)
    }
    guard axis < sizes.count - 1 else {
      throw DecantError(.deceptive, "two chunks hold the element at \(corner)")
    }
    var bounds: Set<Int> = [0]
    for member in members {
      bounds.insert(boxes[member].lower[axis])
      bounds.insert(boxes[member].upper[axis])
    }
    bounds.remove(sizes[axis])
    var node = Node()
    node.end = sizes[axis]
    node.starts = bounds.sorted()
    let order = members.sorted { boxes[$0].lower[axis] < boxes[$1].lower[axis] }
    var next = 0
    var active: [Int] = []
    for start in node.starts {
      active.removeAll { boxes[$0].upper[axis] <= start }
      while next < order.count, boxes[order[next]].lower[axis] <= start {
        active.append(order[next])
        next += 1
      }
      budget -= 1 + active.count
      guard budget >= 0 else {
        throw DecantError(
          .unsupportedFormat, "its \(boxes.count) chunks are arranged in a way that is not supported",
          remedy: "Load it with PyTorch and save it again in one process.")
      }
      node.targets.append(try cut(active, axis: axis + 1, corner: corner + [start], &budget))
    }
    nodes.append(node)
    return .node(nodes.count - 1)
  }

  /// Returns the box that holds a byte of the tensor, the byte's offset in that box, and the number of bytes from
  /// there on that are contiguous in both. O(rank · log bands).
  func run(at byte: Int) -> (box: Int, offset: Int, count: Int) {
    var target = root
    var rest = byte
    var count = strides[0] * sizes[0] - byte
    var index: [Int] = []
    while case .node(let place) = target {
      let axis = index.count
      let at = rest / strides[axis]
      rest -= at * strides[axis]
      index.append(at)
      let node = nodes[place]
      var (low, high) = (0, node.starts.count)
      while high - low > 1 {
        let middle = (low + high) / 2
        if node.starts[middle] <= at { low = middle } else { high = middle }
      }
      let end = low + 1 < node.starts.count ? node.starts[low + 1] : node.end
      count = (end - at) * strides[axis] - rest
      target = node.targets[low]
    }
    guard case .box(let place) = target else { return (0, 0, 0) }
    let box = boxes[place]
    var offset = rest
    for (axis, at) in index.enumerated() { offset += (at - box.lower[axis]) * box.strides[axis] }
    return (place, offset, count)
  }

  /// Returns row-major strides. The product overflows only for shapes without elements, whose strides are not used.
  private static func strides(_ sizes: [Int]) -> [Int] {
    var strides = [Int](repeating: 1, count: sizes.count)
    for axis in sizes.indices.dropLast().reversed() { strides[axis] = strides[axis + 1] &* sizes[axis + 1] }
    return strides
  }
}
