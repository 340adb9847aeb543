internal import Graphs

/// Cuts the patches under a convolution's windows out of its input: im2col, for some channels and columns.
///
/// Row (channel, ky, kx), column (image, y, x) of the patch matrix is the input at
/// (image, channel, y·stride + ky·dilation − padding, x·stride + kx·dilation − padding), or 0 in the padding.
struct Patches {
  let convolution: Convolution
  let input: ValueShape
  let output: ValueShape

  /// Writes the rows of `channels` and the columns of `columns`, row after row without gaps.
  ///
  /// - Parameters:
  ///   - source: the input, C×N×H×W, from its first channel on.
  ///   - target: room for `channels.count` × kernel² × `columns.count` numbers.
  @inline(__always)
  func write<Scalar: KernelScalar>(
    channels: Range<Int>, columns: Range<Int>, from source: UnsafePointer<Scalar>,
    to target: UnsafeMutablePointer<Scalar>
  ) {
    let keepsSize = convolution.stride == 1 && output.height == input.height && output.width == input.width
    var row = unsafe target
    for channel in channels {
      let planes = unsafe source + channel * input.columns
      for ky in 0..<convolution.kernel {
        let dy = ky * convolution.dilation - convolution.padding
        for kx in 0..<convolution.kernel {
          let dx = kx * convolution.dilation - convolution.padding
          if keepsSize {
            unsafe writeShifted(columns, dy: dy, dx: dx, from: planes, to: row)
          } else {
            unsafe writeStrided(columns, dy: dy, dx: dx, from: planes, to: row)
          }
          unsafe row += columns.count
        }
      }
    }
  }

  /// One row where output and input are equally large: each image's row is its plane, shifted, with the
  /// positions zeroed that a shift brings over from the neighbouring line.
  @inline(__always)
  private func writeShifted<Scalar: KernelScalar>(
    _ columns: Range<Int>, dy: Int, dx: Int, from planes: UnsafePointer<Scalar>,
    to row: UnsafeMutablePointer<Scalar>
  ) {
    let (height, width) = (input.height, input.width)
    let area = height * width
    // Lines whose source line exists, as positions in the plane.
    let firstLine = min(max(-dy, 0), height)
    let lastLine = max(min(height - dy, height), firstLine)
    let shift = dy * width + dx
    // x positions whose source column does not exist.
    let blank = dx < 0 ? 0..<min(-dx, width) : max(width - dx, 0)..<width
    var begin = columns.lowerBound
    while begin < columns.upperBound {
      let image = begin / area
      let origin = image * area
      let end = min(columns.upperBound, origin + area)
      let plane = unsafe planes + origin
      let line = unsafe row + (begin - columns.lowerBound)
      let positions = begin - origin..<end - origin
      // What is copied: positions on existing lines whose shifted place lies in the plane.
      let from = min(max(positions.lowerBound, firstLine * width, -shift), positions.upperBound)
      let to = max(min(positions.upperBound, lastLine * width, area - shift), from)
      unsafe line.update(repeating: 0, count: from - positions.lowerBound)
      unsafe (line + (from - positions.lowerBound)).update(from: plane + from + shift, count: to - from)
      unsafe (line + (to - positions.lowerBound)).update(repeating: 0, count: positions.upperBound - to)
      if !blank.isEmpty && from < to {
        for y in from / width...(to - 1) / width {
          let first = max(y * width + blank.lowerBound, from)
          let last = min(y * width + blank.upperBound, to)
          var place = first
          while place < last {
            unsafe line[place - positions.lowerBound] = 0
            place += 1
          }
        }
      }
      begin = end
    }
  }

  /// One row of any convolution, line by line.
  @inline(__always)
  private func writeStrided<Scalar: KernelScalar>(
    _ columns: Range<Int>, dy: Int, dx: Int, from planes: UnsafePointer<Scalar>,
    to row: UnsafeMutablePointer<Scalar>
  ) {
    let stride = convolution.stride
    // x positions whose source column exists: 0 ≤ x·stride + dx < width.
    let firstX = min(dx < 0 ? (-dx + stride - 1) / stride : 0, output.width)
    let lastX = max(input.width - dx > 0 ? min((input.width - dx - 1) / stride + 1, output.width) : 0, firstX)
    var (line, startX) = columns.lowerBound.quotientAndRemainder(dividingBy: output.width)
    var next = unsafe row
    var left = columns.count
    while left > 0 {
      let endX = min(output.width, startX + left)
      let (image, y) = line.quotientAndRemainder(dividingBy: output.height)
      let sourceY = y * stride + dy
      let isInside = sourceY >= 0 && sourceY < input.height
      let from = isInside ? min(max(firstX, startX), endX) : endX
      let to = isInside ? max(min(lastX, endX), from) : endX
      unsafe next.update(repeating: 0, count: from - startX)
      if from < to {
        var source = unsafe planes + ((image * input.height + sourceY) * input.width + from * stride + dx)
        let line = unsafe next + (from - startX)
        for x in 0..<to - from {
          unsafe line[x] = source.pointee
          unsafe source += stride
        }
      }
      unsafe (next + (to - startX)).update(repeating: 0, count: endX - to)
      unsafe next += endX - startX
      left -= endX - startX
      line += 1
      startX = 0
    }
  }
}
