internal import DecantGraphs

/// The im2col transform of a convolution's input, for some channels and columns.
///
/// Row (channel, ky, kx), column (image, y, x) of the patch matrix is the input at (image, channel, y·stride +
/// ky·dilation − padding, x·stride + kx·dilation − padding), or 0 in the padding.
struct Patches {
  let convolution: Convolution
  let input: ValueShape
  let output: ValueShape

  /// Writes the patch matrix's rows of `channels` and columns of `columns`, row after row without gaps.
  ///
  /// - Parameters:
  ///   - source: the input columns in memory. They include all columns under the windows.
  ///   - target: memory for `channels.count` × kernel² × `columns.count` elements.
  @inline(__always)
  func write<Scalar: KernelScalar>(
    channels: Range<Int>, columns: Range<Int>, from source: ColumnWindow<Scalar>,
    to target: UnsafeMutablePointer<Scalar>
  ) {
    let keepsSize = convolution.stride == 1 && output.height == input.height && output.width == input.width
    let kernel = convolution.kernel
    for ky in 0..<kernel {
      let dy = ky * convolution.dilation - convolution.padding
      for kx in 0..<kernel {
        let dx = kx * convolution.dilation - convolution.padding
        let rows = unsafe target + (ky * kernel + kx) * columns.count
        if keepsSize {
          unsafe writeShifted(channels, columns, dy: dy, dx: dx, from: source, to: rows)
        } else {
          unsafe writeStrided(channels, columns, dy: dy, dx: dx, from: source, to: rows)
        }
      }
    }
  }

  /// Writes the rows of one kernel position when output and input have the same size. Each image's part is its shifted
  /// plane. Positions whose source would be on a neighbouring line are set to zero.
  @inline(__always)
  private func writeShifted<Scalar: KernelScalar>(
    _ channels: Range<Int>, _ columns: Range<Int>, dy: Int, dx: Int, from source: ColumnWindow<Scalar>,
    to rows: UnsafeMutablePointer<Scalar>
  ) {
    let (height, width) = (input.height, input.width)
    let area = height * width
    let rowStride = convolution.kernel * convolution.kernel * columns.count
    // The lines whose source line exists.
    let firstLine = min(max(-dy, 0), height)
    let lastLine = max(min(height - dy, height), firstLine)
    let shift = dy * width + dx
    // The x positions whose source column does not exist.
    let blank = dx < 0 ? 0..<min(-dx, width) : max(width - dx, 0)..<width
    var begin = columns.lowerBound
    while begin < columns.upperBound {
      let image = begin / area
      let origin = image * area
      let end = min(columns.upperBound, origin + area)
      // Positions are relative to the image's plane. Only those on existing lines with a source in the plane and in
      // memory are copied. Elements that the shift would read from a line no longer in memory are zeroed anyway.
      let first = begin - origin
      let last = end - origin
      let held = unsafe source.columns.lowerBound - origin..<source.columns.upperBound - origin
      let from = min(max(first, firstLine * width, max(held.lowerBound, 0) - shift), last)
      let to = max(min(last, lastLine * width, min(held.upperBound, area) - shift), from)
      let fromX = from % width
      var row = unsafe rows + (begin - columns.lowerBound)
      var plane = unsafe source.pointer(channels.lowerBound, origin + shift)
      for _ in channels {
        unsafe row.update(repeating: 0, count: from - first)
        unsafe (row + (from - first)).update(from: plane + from, count: to - from)
        unsafe (row + (to - first)).update(repeating: 0, count: last - to)
        for x in blank {
          var place = from - fromX + x + (x < fromX ? width : 0)
          while place < to {
            unsafe row[place - first] = 0
            place += width
          }
        }
        unsafe row += rowStride
        unsafe plane += source.stride
      }
      begin = end
    }
  }

  /// Writes the rows of one kernel position of any convolution, line by line.
  @inline(__always)
  private func writeStrided<Scalar: KernelScalar>(
    _ channels: Range<Int>, _ columns: Range<Int>, dy: Int, dx: Int, from source: ColumnWindow<Scalar>,
    to rows: UnsafeMutablePointer<Scalar>
  ) {
    let stride = convolution.stride
    let rowStride = convolution.kernel * convolution.kernel * columns.count
    // The x positions whose source column exists: 0 ≤ x·stride + dx < width.
    let firstX = min(dx < 0 ? (-dx + stride - 1) / stride : 0, output.width)
    let lastX = max(input.width - dx > 0 ? min((input.width - dx - 1) / stride + 1, output.width) : 0, firstX)
    var (line, startX) = columns.lowerBound.quotientAndRemainder(dividingBy: output.width)
    var next = unsafe rows
    var left = columns.count
    while left > 0 {
      let endX = min(output.width, startX + left)
      let (image, y) = line.quotientAndRemainder(dividingBy: output.height)
      let sourceY = y * stride + dy
      let isInside = sourceY >= 0 && sourceY < input.height
      let from = isInside ? min(max(firstX, startX), endX) : endX
      let to = isInside ? max(min(lastX, endX), from) : endX
      var row = unsafe next
      // The source of the line's first copied position; unused when nothing is copied.
      let start =
        unsafe from < to
        ? (image * input.height + sourceY) * input.width + from * stride + dx : source.columns.lowerBound
      var plane = unsafe source.pointer(channels.lowerBound, start)
      for _ in channels {
        unsafe row.update(repeating: 0, count: from - startX)
        let target = unsafe row + (from - startX)
        for x in 0..<to - from { unsafe target[x] = plane[x * stride] }
        unsafe (row + (to - startX)).update(repeating: 0, count: endX - to)
        unsafe row += rowStride
        unsafe plane += source.stride
      }
      unsafe next += endX - startX
      left -= endX - startX
      line += 1
      startX = 0
    }
  }
}
