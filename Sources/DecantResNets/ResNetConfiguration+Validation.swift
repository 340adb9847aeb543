package import DecantBytes

extension ResNetConfiguration {
  /// The largest number of channels or classes, and the largest stride, in a configuration. Real ones stay below
  /// 32,768.
  static let largestSize = 1 << 24
  /// The output strides that dilation can give. They are powers of two because stages have stride 2.
  package static let outputStrides = [1, 2, 4, 8, 16, 32]
  /// The largest number of blocks in one network. The deepest published network has 600 (ResNet-1202).
  static let mostBlocks = 4096

  /// Checks that the configuration can be built.
  ///
  /// - Throws: ``DecantError`` that names the first invalid value.
  package func validate() throws(DecantError) {
    func fail(_ reason: String) -> DecantError { Self.unbuildable(reason) }
    func check(_ name: String, _ values: Int...) throws(DecantError) {
      for value in values where !(1...Self.largestSize ~= value) {
        throw fail("\(name) \(value) is not between 1 and \(Self.largestSize)")
      }
    }
    guard !stages.isEmpty else { throw fail("it has no stages") }
    guard stages.count <= Self.mostBlocks, layers.reduce(0, +) <= Self.mostBlocks else {
      throw fail("\(layers) has more than \(Self.mostBlocks) blocks")
    }
    switch stem {
    case .single(let kernel, _):
      guard 1...31 ~= kernel else { throw fail("a stem of \(kernel)×\(kernel) is too small or too large") }
    case .deep(let channels, let bare):
      guard 1...16 ~= channels.count, 0...channels.count ~= bare else {
        throw fail("a stem of \(Format.count(channels.count, "convolution")) is not supported")
      }
      for channels in channels { try check("stem channels", channels) }
    }
    try check("stem channels", stem.channels)
    try check("input channels", inputChannels)
    guard [1, 3, 5, 7].contains(shortcutKernel) else {
      throw fail("a shortcut of \(shortcutKernel)×\(shortcutKernel) is not supported")
    }
    try check("stride0", stride0)
    if let outputStride, !Self.outputStrides.contains(outputStride) {
      throw fail("output stride \(outputStride) is not one of \(Self.outputStrides)")
    }
    try check("normalization groups", normalizationGroups)
    if let lastConvolution { try check("channels of the last convolution", lastConvolution) }
    guard 0...Self.largestSize ~= classes else { throw fail("\(classes) classes are out of range") }
    switch head {
    case .linear, .convolution: break
    case .layers(let layers):
      for layer in layers { try check("size of the head", layer.inputs, layer.outputs) }
    case .normalizedPerceptron(let size), .attention(let size):
      try check("size of the head", size)
    }
    guard epsilon >= 0, epsilon.isFinite else { throw fail("epsilon \(epsilon) is negative or not finite") }
    for (index, stage) in stages.enumerated() { try validate(stage, "layer\(index + 1)") }
  }

  private static func unbuildable(_ reason: String) -> DecantError {
    DecantError(.unsupportedNetwork, "the network cannot be built: \(reason)")
  }

  private func validate(_ stage: ResNetStage, _ name: String) throws(DecantError) {
    func fail(_ reason: String) -> DecantError {
      Self.unbuildable("\(name): \(reason)")
    }
    guard !stage.blocks.isEmpty else { throw fail("a stage has no blocks") }
    guard 1...Self.largestSize ~= stage.groups, 1...16 ~= stage.stride else {
      throw fail("\(stage.groups) groups and stride \(stage.stride) are out of range")
    }
    for widths in stage.blocks {
      guard widths.count == stage.block.kernels.count, widths.allSatisfy({ 1...Self.largestSize ~= $0 })
      else {
        throw fail("\(widths) are not the channels of a \(stage.block.rawValue) block")
      }
      for (kernel, width) in zip(stage.block.kernels, widths) where kernel > 1 {
        guard width.isMultiple(of: stage.groups) else {
          throw fail("\(width) channels do not divide into \(stage.groups) groups")
        }
      }
      // Each block adds its result to its input, so all blocks of a stage need the same number of output channels.
      guard widths.last == stage.outputChannels else {
        throw fail("blocks of \(stage.outputChannels) and \(widths.last ?? 0) channels cannot be added")
      }
    }
    switch stage.attention {
    case .squeezeExcitation(let size), .efficient(let size), .globalContext(let size):
      guard 1...Self.largestSize ~= size else { throw fail("an attention of size \(size) is out of range") }
    case .bilinear(let reduced, let groups, let block):
      guard 1...Self.largestSize ~= reduced, 1...Self.largestSize ~= groups, 1...256 ~= block else {
        throw fail("an attention of sizes \(reduced), \(groups) and \(block) is out of range")
      }
    case nil: break
    }
  }
}
