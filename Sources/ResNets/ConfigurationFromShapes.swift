public import Tensors

extension ResNet.Configuration {
  /// The configuration that a state dict's names and shapes tell, in torchvision's names without a prefix.
  ///
  /// Shapes tell the block, layers, widths, groups, classes and channels. They do not tell ``stride0``, which keeps
  /// its default here, nor anything else that leaves no trace in a shape.
  ///
  /// - Throws: ``TensorError`` that says what is missing for a ResNet. Whether every other name and shape fits is
  ///   for ``ResNet/Verification`` to say. O(layers).
  public init(shapesOf stateDict: StateDict) throws(TensorError) {
    func shape(_ name: String, rank: Int) throws(TensorError) -> [Int] {
      guard let tensor = stateDict[name] else { throw TensorError("there is no \(name)") }
      guard tensor.shape.count == rank, tensor.shape.allSatisfy({ 1...1 << 20 ~= $0 }) else {
        throw TensorError("\(name) has shape \(tensor.shape), not \(rank) sizes as a ResNet's")
      }
      return tensor.shape
    }
    let stem = try shape("conv1.weight", rank: 4)
    let isBottleneck = stateDict["layer1.0.conv3.weight"] != nil
    var layers: [Int] = []
    var planes: [Int] = []
    while stateDict["layer\(layers.count + 1).0.conv1.weight"] != nil, layers.count < 16 {
      let stage = "layer\(layers.count + 1)"
      var blocks = 1
      while stateDict["\(stage).\(blocks).conv1.weight"] != nil { blocks += 1 }
      layers.append(blocks)
      planes.append(
        isBottleneck
          ? try shape("\(stage).0.conv3.weight", rank: 4)[0] / 4
          : try shape("\(stage).0.conv1.weight", rank: 4)[0])
    }
    guard let firstPlanes = planes.first, planes.allSatisfy({ $0 > 0 }) else {
      throw TensorError("there is no layer1.0.conv1.weight with output channels a block can have")
    }
    var groups = 1
    var widthPerGroup = 64
    if isBottleneck {
      let width = try shape("layer1.0.conv1.weight", rank: 4)[0]
      let perGroup = try shape("layer1.0.conv2.weight", rank: 4)[1]
      groups = max(1, width / perGroup)
      // torchvision: width = planes × width per group / 64 × groups.
      widthPerGroup = max(1, width * 64 / (firstPlanes * groups))
    }
    self.init(block: isBottleneck ? .bottleneck : .basic, layers: layers)
    self.planes = planes
    self.stemChannels = stem[0]
    self.inputChannels = stem[1]
    self.groups = groups
    self.widthPerGroup = widthPerGroup
    self.classes = try shape("fc.weight", rank: 2)[0]
  }
}
