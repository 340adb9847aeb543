internal import DecantGraphs

extension GraphBuilder {
  /// Appends the blocks of one stage.
  mutating func append(_ stage: ResNetStage, _ name: String) {
    // As in torchvision, the first block keeps the dilation of the stage before it.
    let before = dilation
    let stride = enter(stage)
    for (index, widths) in stage.blocks.enumerated() {
      append(
        stage, widths, "\(name).\(index)", stride: index == 0 ? stride : 1,
        dilation: index == 0 ? before : dilation)
    }
    graph.nameStage(name, value)
  }

  /// Appends one residual block.
  ///
  /// Its shortcut has a `downsample` module exactly when the stride is not 1 or the number of channels changes.
  private mutating func append(
    _ stage: ResNetStage, _ widths: [Int], _ name: String, stride: Int, dilation: Int
  ) {
    let isPre = configuration.order == .pre
    let (input, inputChannels) = (value, channels)
    let outputChannels = widths.last ?? channels
    let projects = stride != 1 || inputChannels != outputChannels
    let kernels = stage.block.kernels
    let strided =
      stage.block.kernels.count == 2 || configuration.blockStride == .first ? 0 : 1
    if isPre { appendNormalizedActivation(name, 1) }
    let activated = value
    for (index, width) in widths.enumerated() {
      let number = index + 1
      let isLast = index == widths.count - 1
      if isPre, index > 0 { appendNormalizedActivation(name, number) }
      let own = index == strided ? stride : 1
      append(
        "\(name).conv\(number)", kernel: kernels[index], channels: width,
        stride: configuration.antialiasing == .none ? own : 1, dilation: kernels[index] > 1 ? dilation : 1,
        groups: kernels[index] > 1 ? stage.groups : 1)
      if !isPre {
        appendNormalization("\(name).bn\(number)")
        if !isLast || configuration.hasBranchActivation { appendActivation("\(name).relu\(number)") }
      }
      appendAntialiasing("\(name).aa", stride: own)
      if configuration.hasInnerAttention, index == widths.count - 2 { appendAttention(stage, "\(name).se") }
    }
    if !configuration.hasInnerAttention { appendAttention(stage, "\(name).se") }
    let result = value
    // In a pre-activation block, a projection reads the activated input, and an identity shortcut the raw input.
    resume(isPre && projects ? activated : input, channels: inputChannels)
    if projects { appendShortcut("\(name).downsample", channels: outputChannels, stride: stride) }
    appendSum(name, result, value, channels: outputChannels)
    if !isPre { appendActivation("\(name).relu") }
  }

  private mutating func appendNormalizedActivation(_ block: String, _ number: Int) {
    appendNormalization("\(block).bn\(number)")
    appendActivation("\(block).relu\(number)")
  }

  private mutating func appendAttention(_ stage: ResNetStage, _ name: String) {
    switch stage.attention {
    case .squeezeExcitation(let reduced):
      append(name, .squeezeExcitation(channels: channels, reduced: reduced))
    case .efficient(let kernel): append(name, .efficientChannelAttention(kernel: kernel))
    case .globalContext(let reduced):
      append(name, .opaque(.globalContext(channels: channels, reduced: reduced)))
    case .bilinear(let reduced, let groups, let block):
      append(name, .opaque(.bilinear(channels: channels, reduced: reduced, groups: groups, block: block)))
    case nil: break
    }
  }

  /// Appends the layers of a shortcut where the stride is not 1 or the number of channels changes.
  private mutating func appendShortcut(_ name: String, channels: Int, stride: Int) {
    let normalizes = configuration.order == .post && configuration.hasShortcutNormalization
    let hasBias = configuration.hasConvolutionBias || configuration.shortcutHasBias
    switch configuration.shortcut {
    case .projection:
      append(
        "\(name).0", kernel: configuration.shortcutKernel, channels: channels, stride: stride,
        hasBias: hasBias)
      if normalizes { appendNormalization("\(name).1") }
    case .pooledProjection:
      // As in the block's own pools: timm keeps a last window that is only partly filled, CLIP drops it.
      let isCeilMode = configuration.antialiasing != .average
      if stride > 1 { append("\(name).0", .averagePool(size: stride, isCeilMode: isCeilMode)) }
      append(normalizes ? "\(name).1" : "\(name).0", kernel: 1, channels: channels, hasBias: hasBias)
      if normalizes { appendNormalization("\(name).2") }
    case .padding:
      append(name, .padChannels(each: max(0, channels - self.channels) / 2, stride: stride))
    }
  }
}
