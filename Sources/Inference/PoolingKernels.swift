internal import Graphs

extension Pooling {
  /// Maxima under the windows of one plane, NaN where a window holds one, as PyTorch.
  ///
  /// Padding is never the maximum, unless it counts as zeros. Each window's lines are first merged into `line`, which has room for the
  /// input's width; then its columns.
  @inline(__always)
  func maxima<Scalar: KernelScalar>(
    of plane: UnsafePointer<Scalar>, height: Int, width: Int, line: UnsafeMutablePointer<Scalar>,
    to output: UnsafeMutablePointer<Scalar>
  ) {
    let (outputHeight, outputWidth) = (outputSize(height), outputSize(width))
    for y in 0..<outputHeight {
      let firstY = max(y * stride - padding, 0)
      let lastY = min(y * stride - padding + kernel, height)
      unsafe line.update(from: plane + firstY * width, count: width)
      var sourceY = firstY + 1
      while sourceY < lastY {
        unsafe larger(line, plane + sourceY * width, count: width)
        sourceY += 1
      }
      if padsWithZeros, lastY - firstY < kernel {
        for x in 0..<width { unsafe line[x] = larger(line[x], 0) }
      }
      let target = unsafe output + y * outputWidth
      for x in 0..<outputWidth {
        var sourceX = max(x * stride - padding, 0)
        let lastX = min(x * stride - padding + kernel, width)
        var maximum = unsafe line[sourceX]
        while sourceX + 1 < lastX {
          sourceX += 1
          maximum = unsafe larger(maximum, line[sourceX])
        }
        let isClipped = x * stride - padding < 0 || x * stride - padding + kernel > width
        unsafe target[x] = padsWithZeros && isClipped ? larger(maximum, 0) : maximum
      }
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

/// Means under windows of `size` pixels beside each other; the last ones are as large as the plane lets them be, or
/// left out.
@inline(__always)
func means<Scalar: KernelScalar>(
  of plane: UnsafePointer<Scalar>, height: Int, width: Int, size: Int, keepsRest: Bool,
  to output: UnsafeMutablePointer<Scalar>
) {
  var target = unsafe output
  let (rows, columns) = keepsRest ? (height, width) : (height / size * size, width / size * size)
  for firstY in stride(from: 0, to: rows, by: size) {
    let lastY = min(firstY + size, height)
    for firstX in stride(from: 0, to: columns, by: size) {
      let lastX = min(firstX + size, width)
      var sum: Scalar = 0
      for y in firstY..<lastY {
        for x in firstX..<lastX { unsafe sum += plane[y * width + x] }
      }
      unsafe target.pointee = sum / Scalar((lastY - firstY) * (lastX - firstX))
      unsafe target += 1
    }
  }
}

/// Weighted means of 3×3 pixels around every `stride`-th, with binomial weights; beyond an edge lies its mirror image.
@inline(__always)
func blurred<Scalar: KernelScalar>(
  _ plane: UnsafePointer<Scalar>, height: Int, width: Int, stride: Int,
  to output: UnsafeMutablePointer<Scalar>
) {
  func inside(_ place: Int, _ size: Int) -> Int {
    place < 0 ? -place : place < size ? place : 2 * size - 2 - place
  }
  var target = unsafe output
  for y in Swift.stride(from: 0, to: height, by: stride) {
    let above = unsafe plane + inside(y - 1, height) * width
    let line = unsafe plane + y * width
    let below = unsafe plane + inside(y + 1, height) * width
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
}

/// The mean of `count` numbers, summed in Double over eight lanes.
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

/// The dot product of two rows, over sixteen lanes.
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
