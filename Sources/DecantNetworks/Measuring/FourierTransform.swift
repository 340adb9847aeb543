internal import CStandard

/// The discrete Fourier transform of square fields of complex numbers with sides of 2ⁿ.
///
/// It is unscaled: applying it twice multiplies each element by the field's element count and mirrors its position.
struct FourierTransform {
  let size: Int
  /// cos and sin of −2πk/size for the first half of the circle.
  private let cosines: [Double]
  private let sines: [Double]
  /// The bit-reversed index of each index of a line.
  private let reversed: [Int]

  /// Prepares the transform of fields with sides of 2^`bits`.
  init(bits: Int) {
    precondition(1...12 ~= bits, "a field of 2^\(bits) is not asked for")
    size = 1 << bits
    let step = -2 * Double.pi / Double(size)
    cosines = (0..<size / 2).map { cstandard_cos(step * Double($0)) }
    sines = (0..<size / 2).map { cstandard_sin(step * Double($0)) }
    reversed = (0..<size).map { place in
      (0..<bits).reduce(0) { $0 | (place >> $1 & 1) << (bits - 1 - $1) }
    }
  }

  /// Transforms a field in place: lines, then columns. O(size² log size).
  func transform(_ real: inout [Double], _ imaginary: inout [Double]) {
    precondition(real.count == size * size && imaginary.count == size * size, "the field has another size")
    for _ in 0..<2 {
      for line in 0..<size { transformLine(&real, &imaginary, from: line * size) }
      transpose(&real)
      transpose(&imaginary)
    }
  }

  private func transformLine(_ real: inout [Double], _ imaginary: inout [Double], from start: Int) {
    for place in 0..<size where place < reversed[place] {
      real.swapAt(start + place, start + reversed[place])
      imaginary.swapAt(start + place, start + reversed[place])
    }
    var half = 1
    while half < size {
      let stride = size / (2 * half)
      for first in Swift.stride(from: start, to: start + size, by: 2 * half) {
        for step in 0..<half {
          let (cosine, sine) = (cosines[step * stride], sines[step * stride])
          let (upper, lower) = (first + step, first + step + half)
          let (x, y) = (
            real[lower] * cosine - imaginary[lower] * sine, real[lower] * sine + imaginary[lower] * cosine
          )
          (real[lower], imaginary[lower]) = (real[upper] - x, imaginary[upper] - y)
          (real[upper], imaginary[upper]) = (real[upper] + x, imaginary[upper] + y)
        }
      }
      half *= 2
    }
  }

  private func transpose(_ field: inout [Double]) {
    for row in 0..<size { for column in 0..<row { field.swapAt(row * size + column, column * size + row) } }
  }
}
