public import Tensors

extension ResNet.Configuration {
  /// The configuration that a network's names and shapes tell.
  ///
  /// Shapes tell the stem, block, layers, widths, groups, classes, channels and the kind of shortcut. They do not tell
  /// ``stride0`` and ``stemPooling``, which here are what is usual for the stem's kernel, nor anything else that leaves no
  /// trace in a shape.
  ///
  /// - Parameter tensors: under this project's names, as ``ResNet/Naming/tensors`` has them.
  /// - Throws: ``TensorError`` that says what is missing for a ResNet. Whether every other name and shape fits is
  ///   for ``ResNet/Verification`` to say. O(layers).
  public init(shapesOf tensors: StateDict) throws(TensorError) {
    func shape(_ name: String, rank: Int) throws(TensorError) -> [Int] {
      guard let tensor = tensors[name] else { throw TensorError("there is no \(name)") }
      guard tensor.shape.count == rank, tensor.shape.allSatisfy({ 1...1 << 20 ~= $0 }) else {
        throw TensorError("\(name) has shape \(tensor.shape), not \(rank) sizes as a ResNet's")
      }
      return tensor.shape
    }
    let isBottleneck = tensors["layer1.0.conv3.weight"] != nil
    var layers: [Int] = []
    var planes: [Int] = []
    while tensors["layer\(layers.count + 1).0.conv1.weight"] != nil, layers.count < 16 {
      let stage = "layer\(layers.count + 1)"
      var blocks = 1
      while tensors["\(stage).\(blocks).conv1.weight"] != nil { blocks += 1 }
      layers.append(blocks)
      planes.append(
        isBottleneck
          ? try shape("\(stage).0.conv3.weight", rank: 4)[0] / 4
          : try shape("\(stage).0.conv1.weight", rank: 4)[0])
    }
    guard let firstPlanes = planes.first, planes.allSatisfy({ $0 > 0 }) else {
      throw TensorError("there is no layer1.0.conv1.weight with output channels a block can have")
    }
    self.init(block: isBottleneck ? .bottleneck : .basic, layers: layers)
    self.planes = planes
    if isBottleneck {
      let width = try shape("layer1.0.conv1.weight", rank: 4)[0]
      let perGroup = try shape("layer1.0.conv2.weight", rank: 4)[1]
      groups = max(1, width / perGroup)
      // torchvision: width = planes × width per group / 64 × groups.
      widthPerGroup = max(1, width * 64 / (firstPlanes * groups))
    }
    if tensors["conv1.weight"] == nil, tensors["conv1.0.weight"] != nil {
      let first = try shape("conv1.0.weight", rank: 4)
      let second = try shape("conv1.3.weight", rank: 4)
      stem = .deep(first[0], second[0])
      stemChannels = try shape("conv1.6.weight", rank: 4)[0]
      inputChannels = first[1]
    } else {
      let first = try shape("conv1.weight", rank: 4)
      stem = .single(kernel: first[2])
      stemChannels = first[0]
      inputChannels = first[1]
      if first[2] < 7 { (stride0, stemPooling) = (1, .none) }
    }
    if tensors["layer1.0.downsample.1.weight"]?.shape.count == 4
      || tensors["layer2.0.downsample.1.weight"]?.shape.count == 4
    {
      shortcut = .pooledProjection
    } else if !tensors.entries.contains(where: { $0.name.contains(".downsample.") }), layers.count > 1 {
      shortcut = .padding
    }
    if tensors["maxpool.0.weight"] != nil { stemPooling = .convolution }
    // The last stage's: where there are few channels, eight are left whatever the ratio.
    if let squeezed = tensors["layer\(layers.count).0.se.fc1.weight"]?.shape, squeezed.count == 4,
      squeezed[0] > 0
    {
      attention = .squeezeExcitation(ratio: max(1, min(4096, squeezed[1] / squeezed[0])))
    } else if tensors["layer1.0.se.conv.weight"] != nil {
      attention = .efficient
    }
    // A backbone has no head.
    classes = tensors["fc.weight"] == nil ? 0 : try shape("fc.weight", rank: 2)[0]
  }
}
