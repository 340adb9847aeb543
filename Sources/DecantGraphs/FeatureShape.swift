/// The shape of a value for one image. Height and width are 1 for vectors.
package struct FeatureShape: Sendable, Equatable {
  package let channels: Int
  package let height: Int
  package let width: Int

  /// Creates a shape; by default a vector's.
  package init(channels: Int, height: Int = 1, width: Int = 1) {
    (self.channels, self.height, self.width) = (channels, height, width)
  }

  fileprivate func resized(channels: Int? = nil, _ size: (Int) -> Int) -> FeatureShape {
    FeatureShape(channels: channels ?? self.channels, height: size(height), width: size(width))
  }
}

extension GraphOperation {
  /// Returns the shape of the output for an input's shape; height or width is below 1 when a window does not fit.
  package func outputShape(_ input: FeatureShape) -> FeatureShape {
    func strided(_ stride: Int, channels: Int? = nil) -> FeatureShape {
      input.resized(channels: channels) { ($0 - 1) / stride + 1 }
    }
    return switch self {
    case .conv(let convolution):
      input.resized(channels: convolution.outputChannels, convolution.outputSize)
    case .maxPool(let pooling): input.resized(pooling.outputSize)
    case .averagePool(let size, let isCeilMode): isCeilMode ? strided(size) : input.resized { $0 / size }
    case .blurPool(let stride): strided(stride)
    case .padChannels(let each, let stride): strided(stride, channels: input.channels + 2 * each)
    case .globalAveragePool: FeatureShape(channels: input.channels)
    case .gemm(let layer): FeatureShape(channels: layer.outputs)
    case .attentionPool(let pooling): FeatureShape(channels: pooling.outputs)
    case .squeezeExcitation, .efficientChannelAttention, .batchNormalization, .channelAffine,
      .batchStatisticsNormalization, .groupNormalization, .vectorStandardization, .layerNormalization, .relu,
      .silu, .vectorFunction, .add,
      .opaque:
      input
    }
  }
}
