internal import DecantBytes

/// Evidence from the stem: the stride of its first convolution, and the pool after it.
extension ModuleEvidence {
  private struct Pool {
    /// The kind of pool; nil for an antialiasing filter, which another property of the configuration describes.
    let pooling: ResNetStemPooling?
    let stride: Tree.Size
    /// The attribute that has the stride, as text.
    let words: String
  }

  mutating func readStem() {
    let pool = readPool()
    guard let stem = layout.convolutions.first.flatMap({ convolution($0.name) }) else { return }
    let detail = "\(short(stem.path)).stride \(stem.stride.words)"
    guard let stride = stem.stride.both, stride > 0 else {
      return add("stride0", stem.stride.words, detail, .other)
    }
    told.stride0 = stride
    guard let pool else { return add("stride0", detail, .stride0(stride)) }
    let both = "\(detail), \(pool.words)"
    if pool.stride.both == stride {
      add("stride0", both, .stride0(stride))
    } else {
      add("stride0", "\(stride), then \(pool.stride.words) in the pool", both, .other)
    }
  }

  /// Reads the pool after the stem; nil when there is none or it is unknown.
  private mutating func readPool() -> Pool? {
    if layout.configuration.stemPooling == .convolution {
      guard let (path, stride) = convolution("maxpool.0") else { return nil }
      add("max_pool", "\(short(path)) is a convolution")
      if told.antialiasing != .none { return filterBeside(path) }
      return Pool(pooling: .convolution, stride: stride, words: "\(short(path)).stride \(stride.words)")
    }
    let found = pools()
    guard found.count <= 1 else {
      add("max_pool", "\(found.count) of them", found.prefix(4).map(short).joined(separator: ", "), .other)
      return nil
    }
    guard let path = found.first, let kind = tree.kind(path) else { return readAbsentPool() }
    guard let kernel = tree.size(path, "kernel_size"), let stride = tree.size(path, "stride"),
      let padding = tree.size(path, "padding")
    else { return nil }
    let words = "\(short(path)).stride \(stride.words)"
    if kind == "AvgPool2d" {
      guard kernel.both == 2, padding.both == 0 else {
        add(
          "max_pool", "an average pool of \(kernel.words)", "\(short(path)), padding \(padding.words)", .other
        )
        return nil
      }
      let detail = "\(short(path)) is an AvgPool2d"
      if told.antialiasing == .average, told.stemPooling != .average {
        add("max_pool", "none; a 2×2 average pool", detail)
      } else {
        told.stemPooling = .average
        add("max_pool", detail, .stemPooling(.average))
      }
      return Pool(pooling: .average, stride: stride, words: words)
    }
    return readMaxPool(path, kernel, stride, padding, words)
  }

  private mutating func readMaxPool(
    _ path: String, _ kernel: Tree.Size, _ stride: Tree.Size, _ padding: Tree.Size, _ words: String
  ) -> Pool? {
    let dilation = tree.size(path, "dilation") ?? Tree.Size(1, 1)
    let rounds = tree.value(path, "ceil_mode")?.bool ?? false
    let border = path.lastIndex(of: ".").map { String(path[..<$0]) + ".pad" } ?? "pad"
    let detail = "\(short(path)) \(kernel.words), padding \(padding.words), ceil_mode \(rounds)"
    if kernel.both == 3, dilation.both == 1, !rounds, padding.both == 1 {
      told.stemPooling = .max
      add("max_pool", detail, .stemPooling(.max))
    } else if kernel.both == 3, dilation.both == 1, !rounds, padding.both == 0,
      tree.kind(border) == "ConstantPad2d" || tree.kind(border) == "ZeroPad2d"
    {
      told.stemPooling = .maxOverZeros
      add("max_pool", "\(detail), \(short(border)) before it", .stemPooling(.maxOverZeros))
    } else {
      var value = "\(kernel.words)×\(kernel.words), padding \(padding.words)"
      if dilation.both != 1 { value += ", dilation \(dilation.words)" }
      if rounds { value += ", sizes rounded up" }
      add("max_pool", value, detail, .other)
    }
    if told.antialiasing != .none, stride.both == 1, let filter = filterBeside(path) { return filter }
    return Pool(pooling: told.stemPooling, stride: stride, words: words)
  }

  private mutating func readAbsentPool() -> Pool? {
    // The last convolution of a deep stem can have the stride instead.
    if let last = layout.stem.last, layout.stem.count > 1, let (path, stride) = convolution(last),
      stride.both != 1
    {
      told.stemPooling = .lastConvolution
      add("max_pool", "\(short(path)) has the stride", .stemPooling(.lastConvolution))
      return Pool(
        pooling: .lastConvolution, stride: stride, words: "\(short(path)).stride \(stride.words)")
    }
    let path = Tree.join(layout.root, "maxpool")
    if tree.kind(path) == "Identity" {
      told.stemPooling = .none
      add("max_pool", "\(short(path)) is an Identity", .stemPooling(.none))
    } else if let kind = tree.kind(path), kind != "Sequential" {
      add("max_pool", kind, "\(short(path)) is no pool that is known", .other)
    } else if source == .code {
      told.stemPooling = .none
      add("max_pool", "no call pools before the blocks", .stemPooling(.none))
    }
    return nil
  }

  /// Returns the pools after the stem: max pools anywhere outside the blocks, and average pools at the paths of stems.
  private func pools() -> [String] {
    let averages = ["maxpool", "avgpool", "stem.pool"].map { Tree.join(layout.root, $0) }
    return tree.classes.filter { path, name in
      let kind = Tree.kind(name)
      return layout.isOutsideBlocks(path)
        && (kind == "MaxPool2d" || kind == "AvgPool2d" && averages.contains(path))
    }.map(\.key).sorted()
  }

  /// Returns the antialiasing filter after a pool in the same Sequential.
  private func filterBeside(_ path: String) -> Pool? {
    guard let dot = path.lastIndex(of: ".") else { return nil }
    for step in ["1", "aa"] {
      let filter = String(path[...dot]) + step
      if let kind = tree.kind(filter), ["BlurPool2d", "AvgPool2d"].contains(kind),
        let stride = tree.size(filter, "stride")
      {
        return Pool(pooling: nil, stride: stride, words: "\(short(filter)).stride \(stride.words)")
      }
    }
    return nil
  }
}
