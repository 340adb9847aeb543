internal import CStandard
internal import DecantResNets

/// Noise with the second-order statistics of photographs. Amplitudes fall with the frequency f as 1/f^β, optionally
/// with blur, and the colour channels are correlated.
package struct NaturalNoise: Sendable, Equatable {
  /// The exponent β: 0 is white noise, 1 is usual for a photograph, 2 for a blurred one.
  package let exponent: Double
  /// The frequency, in cycles per pixel, at which lens blur reduces amplitudes to 1/e of the power law; nil for no
  /// blur.
  package let softness: Double?

  /// The spectra that are tried under each hypothesis.
  package static let all: [NaturalNoise] = (1...10).flatMap { step in
    [nil, 0.25].map { NaturalNoise(exponent: Double(step) / 5, softness: $0) }
  }

  /// The part of the variance that all colour channels share. The rest is independent per channel.
  static let sharedVariance = 0.7

  /// Returns the amplitude at a frequency in cycles per pixel; 0 at frequency 0, so the mean is 0.
  func amplitude(_ frequency: Double) -> Double {
    guard frequency > 0 else { return 0 }
    let fall = softness.map { cstandard_exp(-(frequency / $0) * (frequency / $0)) } ?? 1
    return cstandard_pow(frequency, -exponent) * fall
  }
}

/// Seeded noise of any spectrum: the same random coefficients with different amplitudes.
struct NoiseSource {
  /// Fields are periodic with this size. Images are smaller crops, so that opposite edges of an image do not match.
  static let torusBits = 8
  static let torus = 1 << torusBits
  let channels: Int
  let images: Int
  private let fourier = FourierTransform(bits: torusBits)
  private let real: CounterHash
  private let imaginary: CounterHash

  init(images: Int, channels: Int, seed: UInt64 = 0) {
    self.images = images
    self.channels = channels
    real = CounterHash(seed: seed, name: "noise.real")
    imaginary = CounterHash(seed: seed, name: "noise.imaginary")
  }

  /// Returns periodic fields of unit variance: for each image one that its channels share, then one for each channel.
  ///
  /// The real and imaginary parts of a transform of independent coefficients are two independent fields.
  func fields(_ noise: NaturalNoise) -> [[Double]] {
    let (side, area) = (Self.torus, Self.torus * Self.torus)
    let count = images * (channels + 1)
    var amplitudes = [Double](repeating: 0, count: area)
    var power = 0.0
    for row in 0..<side {
      for column in 0..<side {
        let (y, x) = (min(row, side - row), min(column, side - column))
        let amplitude = noise.amplitude(Double(y * y + x * x).squareRoot() / Double(side))
        amplitudes[row * side + column] = amplitude
        power += amplitude * amplitude
      }
    }
    // The hash's numbers have variance 1/3.
    let scale = (3 / power).squareRoot()
    var fields: [[Double]] = []
    for pair in 0..<(count + 1) / 2 {
      var first = [Double](repeating: 0, count: area)
      var second = first
      for place in 0..<area {
        let index = UInt64(pair * area + place)
        first[place] = Double(real.unit(index)) * amplitudes[place] * scale
        second[place] = Double(imaginary.unit(index)) * amplitudes[place] * scale
      }
      fourier.transform(&first, &second)
      fields += [first, second]
    }
    return Array(fields.prefix(count))
  }

  /// Returns `count` images of a size, N×C×H×W, as non-overlapping crops of ``fields(_:)``.
  ///
  /// - Precondition: the size divides `torus`, and `count` is at most (torus / size)² for each of ``images``.
  func cut(_ fields: [[Double]], count: Int, size: Int) -> [Float] {
    let perLine = Self.torus / size
    precondition(size * perLine == Self.torus && count <= images * perLine * perLine, "there are not so many")
    let shared = NaturalNoise.sharedVariance.squareRoot()
    let own = (1 - NaturalNoise.sharedVariance).squareRoot()
    var values: [Float] = []
    values.reserveCapacity(count * channels * size * size)
    for image in 0..<count {
      // Takes one crop of each field before the next crop of the first, so that few images differ as much as possible.
      let (round, torus) = image.quotientAndRemainder(dividingBy: images)
      let origin = (round / perLine * Self.torus + round % perLine) * size
      let base = torus * (channels + 1)
      for channel in 1...channels {
        for y in 0..<size {
          for place in origin + y * Self.torus..<origin + y * Self.torus + size {
            values.append(Float(shared * fields[base][place] + own * fields[base + channel][place]))
          }
        }
      }
    }
    return values
  }
}
