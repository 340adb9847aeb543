internal import DecantGraphs

/// The paths of a network's layers among a file's modules, and the configuration inferred from the shapes.
struct ModulePathMap {
  /// The prefix of the network's module paths, without its last dot.
  let root: String
  let configuration: ResNetConfiguration
  /// The convolutions, each with its canonical name and its module path in the file.
  let convolutions: [(name: String, path: String)]
  let normalizations: [(name: String, path: String)]
  /// The module paths of convolutions and normalizations, by canonical name.
  let paths: [String: String]
  /// The canonical names of the stem's convolutions.
  let stem: [String]
  /// The paths of the blocks in order, stage by stage.
  ///
  /// A block's path is what the paths of its first two convolutions have in common.
  let blocks: [[String]]
  private let blockPaths: Set<String>
  /// The paths of the modules that contain a head of several layers.
  private let headContainers: [String]

  init(_ naming: ResNetTensorNameMap, _ configuration: ResNetConfiguration) {
    self.configuration = configuration
    headContainers = naming.head.containers.filter { !naming.prefix.hasPrefix($0 + ".") }
    root = naming.prefix.hasSuffix(".") ? String(naming.prefix.dropLast()) : naming.prefix
    func path(_ layer: String) -> String {
      let name = naming.spelling(of: layer + ".weight")
      return name.hasSuffix(".weight") ? String(name.dropLast(7)) : name
    }
    var convolutions: [(name: String, path: String)] = []
    var normalizations: [(name: String, path: String)] = []
    for node in (try? configuration.graph())?.nodes ?? [] {
      switch node.operation {
      case .conv: convolutions.append((node.name, path(node.name)))
      case .batchNormalization, .groupNormalization, .batchStatisticsNormalization:
        // A head's normalizations have an epsilon of their own.
        if node.name.hasPrefix("head.") { continue }
        normalizations.append((node.name, path(node.name)))
      default: break
      }
    }
    paths = Dictionary(
      (convolutions + normalizations).map { ($0.name, $0.path) }, uniquingKeysWith: { first, _ in first })
    stem = convolutions.map(\.name).filter { $0 == "conv1" || $0.hasPrefix("conv1.") }
    self.convolutions = convolutions
    self.normalizations = normalizations
    let blocks = configuration.layers.enumerated().map { stage, count in
      (0..<count).map { block in
        let first = path("layer\(stage + 1).\(block).conv1")
        let second = path("layer\(stage + 1).\(block).conv2")
        return Self.common(first, second)
      }
    }
    self.blocks = blocks
    blockPaths = Set(blocks.flatMap { $0 })
  }

  /// Returns true when a module is in the network and in none of its blocks.
  func isOutsideBlocks(_ path: String) -> Bool { isInside(path) && !isInBlock(path) }

  /// Returns true when a module is in a head of several layers.
  func isInHead(_ path: String) -> Bool { headContainers.contains { path.hasPrefix($0 + ".") } }

  private func isInBlock(_ path: String) -> Bool {
    var rest = path[...]
    while let dot = rest.lastIndex(of: ".") {
      rest = rest[..<dot]
      if blockPaths.contains(String(rest)) { return true }
    }
    return false
  }

  /// Returns true when a module is the network or inside it.
  func isInside(_ path: String) -> Bool { root.isEmpty || path == root || path.hasPrefix(root + ".") }

  /// Returns a module's path relative to the network.
  func relative(_ path: String) -> String {
    root.isEmpty || !path.hasPrefix(root + ".") ? path : String(path.dropFirst(root.count + 1))
  }

  /// Returns the path components with which two paths begin alike.
  private static func common(_ left: String, _ right: String) -> String {
    zip(left.split(separator: "."), right.split(separator: ".")).prefix { $0 == $1 }
      .map { String($0.0) }.joined(separator: ".")
  }
}
