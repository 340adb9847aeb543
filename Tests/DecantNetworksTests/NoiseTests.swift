import Testing

@testable import DecantNetworks

@Suite struct NoiseTests {
  /// Compares the transform with the sum that defines it.
  @Test func fourierTransformIsItsDefinition() {
    let size = 8
    let field = (0..<size * size).map { Double(($0 * 37 + 11) % 23) - 11 }
    var real = field
    var imaginary = field.map { -$0 / 2 + 1 }
    FourierTransform(bits: 3).transform(&real, &imaginary)
    for v in 0..<size {
      for u in 0..<size {
        var (x, y) = (0.0, 0.0)
        for row in 0..<size {
          for column in 0..<size {
            let angle = -2 * Double.pi * Double(u * column + v * row) / Double(size)
            let (a, b) = (field[row * size + column], -field[row * size + column] / 2 + 1)
            x += a * cosine(angle) - b * sine(angle)
            y += a * sine(angle) + b * cosine(angle)
          }
        }
        #expect(abs(real[v * size + u] - x) < 1e-9 && abs(imaginary[v * size + u] - y) < 1e-9)
      }
    }
  }

  /// Measures the spectrum of the noise: power falls as f^−2β, and blur reduces the high frequencies.
  @Test(arguments: [0.4, 1.0, 1.6])
  func spectrumIsAPowerLaw(_ exponent: Double) throws {
    let noise = NaturalNoise(exponent: exponent, softness: nil)
    let field = NoiseSource(images: 1, channels: 1).fields(noise)[1]
    let powers = power(of: field)
    // Octaves of 2…4 and of 32…64 periods are four octaves apart.
    let slope = (log2(powers.high) - log2(powers.low)) / 4
    #expect(abs(slope + 2 * exponent) < 0.25, "\(slope)")
    let soft = NoiseSource(images: 1, channels: 1).fields(NaturalNoise(exponent: exponent, softness: 0.1))[1]
    let softened = power(of: soft)
    #expect(softened.high / softened.low < 0.2 * powers.high / powers.low)
  }

  private func power(of field: [Double]) -> (low: Double, high: Double) {
    var real = field
    var imaginary = [Double](repeating: 0, count: field.count)
    FourierTransform(bits: NoiseSource.torusBits).transform(&real, &imaginary)
    let side = NoiseSource.torus
    func mean(_ band: Range<Double>) -> Double {
      var (sum, count) = (0.0, 0.0)
      for row in 0..<side {
        for column in 0..<side {
          let (y, x) = (Double(min(row, side - row)), Double(min(column, side - column)))
          guard band.contains((y * y + x * x).squareRoot()) else { continue }
          let place = row * side + column
          sum += real[place] * real[place] + imaginary[place] * imaginary[place]
          count += 1
        }
      }
      return sum / count
    }
    return (mean(2..<4), mean(32..<64))
  }

  @Test func imagesHaveUnitVarianceSharedColoursAndNoTwin() {
    let source = NoiseSource(images: 2, channels: 3)
    let fields = source.fields(NaturalNoise(exponent: 0.4, softness: nil))
    let images = source.cut(fields, count: 8, size: 128)
    #expect(images.count == 8 * 3 * 128 * 128)
    let planes = (0..<24).map { images[$0 * 16384..<($0 + 1) * 16384].map { Double($0) } }
    func mean(_ left: [Double], _ right: [Double]) -> Double {
      zip(left, right).reduce(0) { $0 + $1.0 * $1.1 } / Double(left.count)
    }
    let variance = planes.reduce(0) { $0 + mean($1, $1) } / 24
    #expect(abs(variance - 1) < 0.05)
    let shared = (0..<8).reduce(0) { $0 + mean(planes[$1 * 3], planes[$1 * 3 + 1]) } / 8
    #expect(abs(shared - NaturalNoise.sharedVariance) < 0.05)
    for one in 0..<8 { for other in 0..<one { #expect(abs(mean(planes[one * 3], planes[other * 3])) < 0.3) } }
    #expect(NoiseSource(images: 2, channels: 3).fields(NaturalNoise(exponent: 0.4, softness: nil)) == fields)
  }
}

private func cosine(_ angle: Double) -> Double { sine(angle + Double.pi / 2) }

/// Computes the sine by its series, so that the test does not depend on a library.
private func sine(_ angle: Double) -> Double {
  let reduced = angle.remainder(dividingBy: 2 * Double.pi)
  var (term, sum) = (reduced, reduced)
  for step in 1..<16 {
    term *= -reduced * reduced / Double(2 * step * (2 * step + 1))
    sum += term
  }
  return sum
}

private func log2(_ number: Double) -> Double {
  let mantissa = number.significand - 1
  // ln(1 + m) / ln 2 by the series of the inverse hyperbolic tangent.
  let ratio = mantissa / (2 + mantissa)
  var (power, sum) = (ratio, 0.0)
  for step in 0..<40 {
    sum += power / Double(2 * step + 1)
    power *= ratio * ratio
  }
  return Double(number.exponent) + 2 * sum / 0.693_147_180_559_945_3
}
