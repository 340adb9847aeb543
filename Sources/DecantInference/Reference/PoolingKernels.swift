internal import DecantGraphs

extension Pooling {
  /// Writes one output line of max pooling. The result is NaN where a window contains NaN, as in PyTorch.
  ///
  /// Padding never wins, unless it counts as zeros. The window's lines are merged into `merged` first, which has room
  /// for the input's width; then the columns are reduced.
  @inline(__always)
  func maxPoolLine<Scalar: KernelScalar>(
    line y: Int, of plane: LineWindow<Scalar>, merged line: UnsafeMutablePointer<Scalar>,
    to target: UnsafeMutablePointer<Scalar>
  ) {
    let (height, width) = unsafe (plane.height, plane.width)
    let firstY = max(y * stride - padding, 0)
    let lastY = min(y * stride - padding + kernel, height)
    unsafe line.update(from: plane[firstY], count: width)
    var sourceY = firstY + 1
    while sourceY < lastY {
      unsafe larger(line, plane[sourceY], count: width)
      sourceY += 1
    }
    if hasZeroPadding, lastY - firstY < kernel {
      for x in 0..<width { unsafe line[x] = larger(line[x], 0) }
    }
    for x in 0..<outputSize(width) {
      var sourceX = max(x * stride - padding, 0)
      let lastX = min(x * stride - padding + kernel, width)
      var maximum = unsafe line[sourceX]
      while sourceX + 1 < lastX {
        sourceX += 1
        maximum = unsafe larger(maximum, line[sourceX])
      }
      let isClipped = x * stride - padding < 0 || x * stride - padding + kernel > width
      unsafe target[x] = hasZeroPadding && isClipped ? larger(maximum, 0) : maximum
    }
  }

  @inline(__always)
  private func larger<Scalar: KernelScalar>(_ one: Scalar, _ other: Scalar) -> Scalar {
    other > one || other != other ? other : one
  }

  @inline(__always)
  private func larger<Scalar: KernelScalar>(
    _ line: UnsafeMutablePointer<Scalar>, _ other: UnsafePointer<Scalar>, count: Int
  ) {
    for index in 0..<count { unsafe line[index] = larger(line[index], other[index]) }
  }
}

/// Writes one output line of average pooling with a kernel and stride of `size`. Windows that cross the edge are
/// averaged over the pixels inside when `isCeilMode` is true, and left out otherwise.
@inline(__always)
func averagePoolLine<Scalar: KernelScalar>(
  line y: Int, of plane: LineWindow<Scalar>, size: Int, isCeilMode: Bool,
  to output: UnsafeMutablePointer<Scalar>
) {
  let width = unsafe plane.width
  var target = unsafe output
  let columns = isCeilMode ? width : width / size * size
  let firstY = y * size
  let lastY = unsafe min(firstY + size, plane.height)
  for firstX in stride(from: 0, to: columns, by: size) {
    let lastX = min(firstX + size, width)
    var sum: Scalar = 0
    for y in firstY..<lastY {
      let line = unsafe plane[y]
      for x in firstX..<lastX { unsafe sum += line[x] }
    }
    unsafe target.pointee = sum / Scalar((lastY - firstY) * (lastX - firstX))
    unsafe target += 1
  }
}

/// Writes one output line of a 3×3 binomial blur with the given stride. Edges use reflection padding.
@inline(__always)
func blurred<Scalar: KernelScalar>(
  line: Int, of plane: LineWindow<Scalar>, stride: Int, to output: UnsafeMutablePointer<Scalar>
) {
  func inside(_ place: Int, _ size: Int) -> Int {
    place < 0 ? -place : place < size ? place : 2 * size - 2 - place
  }
  let (height, width) = unsafe (plane.height, plane.width)
  let y = line * stride
  var target = unsafe output
  let above = unsafe plane[inside(y - 1, height)]
  let line = unsafe plane[y]
  let below = unsafe plane[inside(y + 1, height)]
  for x in Swift.stride(from: 0, to: width, by: stride) {
    var sum: Scalar = 0
    for (neighbour, weight) in [(x - 1, 1), (x, 2), (x + 1, 1)] as [(Int, Scalar)] {
      let column = inside(neighbour, width)
      unsafe sum += weight * (above[column] + 2 * line[column] + below[column])
    }
    unsafe target.pointee = sum / 16
    unsafe target += 1
  }
}

/// Returns the mean of `count` elements, summed in Double over eight lanes.
@inline(__always)
func mean<Scalar: KernelScalar>(_ values: UnsafePointer<Scalar>, count: Int) -> Scalar {
  var lanes = SIMD8<Double>(repeating: 0)
  var index = 0
  while index + 8 <= count {
    for lane in 0..<8 { unsafe lanes[lane] += Double(values[index + lane]) }
    index += 8
  }
  var sum = lanes.sum()
  while index < count {
    unsafe sum += Double(values[index])
    index += 1
  }
  return Scalar(sum / Double(count))
}

/// Returns the dot product of two vectors, summed over sixteen lanes.
@inline(__always)
func dot<Scalar: KernelScalar>(_ one: UnsafePointer<Scalar>, _ other: UnsafePointer<Scalar>, count: Int)
  -> Scalar
{
  typealias Vector = SIMD16<Scalar>
  var lanes = Vector(repeating: 0)
  var index = 0
  while index + 16 <= count {
    unsafe lanes +=
      UnsafeRawPointer(one + index).loadUnaligned(as: Vector.self)
      * UnsafeRawPointer(other + index).loadUnaligned(as: Vector.self)
    index += 16
  }
  var sum = lanes.sum()
  while index < count {
    unsafe sum += one[index] * other[index]
    index += 1
  }
  return sum
}
