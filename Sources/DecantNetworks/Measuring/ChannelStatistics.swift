internal import DecantInference

/// The mean and the biased variance (divided by the count, as batch normalization does) of each channel of N×C×H×W.
struct ChannelStatistics {
  let mean: [Double]
  let variance: [Double]

  init<Scalar: ReferenceScalar>(_ activation: Activation<Scalar>) {
    let (images, channels) = (activation.shape[0], activation.shape[1])
    let area = activation.shape[2...].reduce(1, *)
    let values = activation.values
    func sum(_ channel: Int, _ term: (Double) -> Double) -> Double {
      (0..<images).reduce(0.0) { total, image in
        let start = (image * channels + channel) * area
        var sum = 0.0
        for place in start..<start + area { sum += term(Double(values[place])) }
        return total + sum
      }
    }
    let count = Double(images * area)
    let mean = (0..<channels).map { sum($0) { $0 } / count }
    self.mean = mean
    variance = (0..<channels).map { channel in
      let centre = mean[channel]
      return sum(channel) { ($0 - centre) * ($0 - centre) } / count
    }
  }
}
