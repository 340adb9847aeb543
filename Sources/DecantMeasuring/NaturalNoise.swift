internal import CStandard
internal import DecantResNets

/// Noise with the second-order statistics of photographs: amplitudes that fall with the frequency f as 1/f^β, softened
/// or not, and colours that mostly rise and fall together.
package struct NaturalNoise: Sendable, Equatable {
  /// β: 0 is white, 1 a photograph's usual value, 2 a blurred one's.
  package let exponent: Double
  /// Cycles per pixel at which a lens has let amplitudes fall to 1/e of the power law; nil for a sharp one.
  package let softness: Double?

  /// The spectra that are tried under each hypothesis.
  package static let all: [NaturalNoise] = (1...10).flatMap { step in
    [nil, 0.25].map { NaturalNoise(exponent: Double(step) / 5, softness: $0) }
  }

  /// The variance that all colours share; the rest is each colour's own.
  static let sharedVariance = 0.7

  /// The amplitude at a frequency in cycles per pixel; 0 for the mean.
  func amplitude(_ frequency: Double) -> Double {
    guard frequency > 0 else { return 0 }
    let fall = softness.map { cstandard_exp(-(frequency / $0) * (frequency / $0)) } ?? 1
    return cstandard_pow(frequency, -exponent) * fall
  }
}

/// Seeded noise of every spectrum: the same coefficients, weighed in different ways.
struct NoiseSource {
  /// Fields are made on a torus of this size and images cut from it, so that no image meets itself at its edges.
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

  /// Fields of unit variance on the torus: for each image one that its colours share and one for each colour.
  ///
  /// Real and imaginary part of a transform of independent coefficients are two independent fields.
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

  /// As many images of a size, N×C×H×W, cut side by side from ``fields(_:)``.
  ///
  /// - Precondition: the size divides the torus, which holds (torus / size)² of them for each of ``images``.
  func cut(_ fields: [[Double]], count: Int, size: Int) -> [Float] {
    let perLine = Self.torus / size
    precondition(size * perLine == Self.torus && count <= images * perLine * perLine, "there are not so many")
    let shared = NaturalNoise.sharedVariance.squareRoot()
    let own = (1 - NaturalNoise.sharedVariance).squareRoot()
    var values: [Float] = []
    values.reserveCapacity(count * channels * size * size)
    for image in 0..<count {
      // One of each torus first, then the next of each: few images are as different as can be.
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
