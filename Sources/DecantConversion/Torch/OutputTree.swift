internal import DecantBytes
internal import DecantCheckpoints
internal import DecantTensors

/// A tree of the keys of a selection's tensor paths, which decides under which key of the output each tensor is
/// written.
///
/// A tensor keeps its path unless it was renamed or its container is not written. Otherwise it moves to the nearest
/// mapping above it whose name is a prefix of the tensor's name.
struct OutputTree {
  /// The kind of value that is written at a node.
  package enum Form {
    /// Nothing: the value is unknown, or is inside a value that is not written.
    case absent
    case tensor
    /// A dictionary of any kind.
    case mapping
    /// A list, tuple or set, or the attributes of a tensor: the keys inside cannot be renamed.
    case sequence
    /// A state dict of the tensors below, instead of a value that is not written.
    case stateDict
  }

  package struct Place {
    package let parent: Int
    package let key: PathKey?
    /// The keys of the path to the node, joined with dots.
    package let name: String
    package var children: [Int] = []
    /// True when the checkpoint has a tensor at this path.
    var isTensor = false
    /// The index of the planned tensor at this path.
    package var tensor: Int?
    /// The index of the checkpoint's non-tensor value at this path, for trees that include values.
    package var object: Int?
    package var form = Form.absent
    /// The number of tensors that are written at this node or below.
    var stayingCount = 0
    /// The tensor's new key in the same mapping.
    var newKey: String?
    /// True when the tensor at this path is written in another container.
    var isMoved = false
    /// True when the node is an attribute of a moved tensor, at any depth.
    var isCutOff = false
    /// The tensors that move to this node, with their keys.
    var movedTensors: [(key: String, tensor: Int)] = []
  }

  private(set) var places: [Place]
  private var index: [Edge: Int] = [:]
  /// True when every tensor keeps its path and name.
  private(set) var isUnchanged = false
  private let hasSubstitutions: Bool

  private struct Edge: Hashable {
    let parent: Int
    let key: PathKey
  }

  /// Creates the nodes of all tensors below the selection. O(path keys).
  init(_ plan: ConversionPlan) {
    places = [Place(parent: -1, key: nil, name: "")]
    hasSubstitutions = !plan.options.substitutions.isEmpty
    let root = plan.selection.path
    for entry in plan.checkpoint.tensors where entry.path.starts(with: root) {
      let place = insert(entry.path.dropFirst(root.count))
      places[place].isTensor = true
    }
    for (index, tensor) in plan.tensors.enumerated() {
      places[insert(tensor.entry.path.dropFirst(root.count))].tensor = index
    }
  }

  package subscript(place: Int) -> Place { places[place] }

  /// The number of nodes. A node's index is lower than those of its descendants.
  var count: Int { places.count }

  /// Returns the child with a key; nil when there is none.
  func child(of place: Int, _ key: PathKey) -> Int? { index[Edge(parent: place, key: key)] }

  /// Sets the kind of value that is written at a node.
  mutating func set(_ form: Form, at place: Int) { places[place].form = form }

  /// Inserts a non-tensor value at a path.
  mutating func insert(object: Int, at path: some Collection<PathKey>) {
    places[insert(path)].object = object
  }

  private mutating func insert(_ path: some Collection<PathKey>) -> Int {
    var place = 0
    for key in path {
      let edge = Edge(parent: place, key: key)
      if let known = index[edge] {
        place = known
        continue
      }
      let name = place == 0 ? key.name : places[place].name + "." + key.name
      places.append(Place(parent: place, key: key, name: name))
      places[place].children.append(places.count - 1)
      index[edge] = places.count - 1
      place = places.count - 1
    }
    return place
  }

  // MARK: Assigning tensors to nodes

  /// Assigns every tensor to a node by its name, after all forms are set.
  ///
  /// - Throws: ``DecantError`` when no mapping's name is a prefix of a tensor's name.
  mutating func settle(_ tensors: [PlannedTensor]) throws(DecantError) {
    isUnchanged = true
    for place in places.indices {
      if places[place].isTensor, places[place].tensor == nil { isUnchanged = false }
      if place > 0 {
        let parent = places[place].parent
        places[place].isCutOff = places[parent].isMoved || places[parent].isCutOff
      }
      guard let tensor = places[place].tensor else { continue }
      try settle(tensor, at: place, name: tensors[tensor].name)
    }
  }

  private mutating func settle(_ tensor: Int, at place: Int, name: String) throws(DecantError) {
    let parent = places[place].parent
    let isWritten =
      parent < 0 || [.mapping, .sequence].contains(places[parent].form) && !places[place].isCutOff
    if isWritten, places[place].form == .tensor, ExactText(name) == ExactText(places[place].name) {
      return count(place)
    }
    isUnchanged = false
    places[place].isMoved = true
    var home = parent
    while home >= 0 {
      let isMapping = places[home].form == .mapping || places[home].form == .stateDict
      if isMapping, !places[home].isCutOff, let key = name.key(below: places[home].name) {
        if home == parent, places[home].form == .mapping, places[place].form == .tensor,
          !places[place].isCutOff
        {
          places[place].isMoved = false
          places[place].newKey = key
          return count(place)
        }
        places[home].movedTensors.append((key, tensor))
        return count(home)
      }
      home = places[home].parent
    }
    throw DecantError(
      .notRepresentable, "cannot be stored under this name: its parent is not a dictionary", tensor: name,
      advice: hasSubstitutions ? .keepNames : nil)
  }

  private mutating func count(_ place: Int) {
    var place = place
    while place >= 0 {
      places[place].stayingCount += 1
      place = places[place].parent
    }
  }
}

extension String {
  /// Returns the part after `container` and a dot; all of the name for the root, whose name is empty. Nil without
  /// that prefix.
  fileprivate func key(below container: String) -> String? {
    if container.isEmpty { return self }
    guard utf8.starts(with: container.utf8), utf8.dropFirst(container.utf8.count).first == UInt8(ascii: ".")
    else { return nil }
    return String(decoding: utf8.dropFirst(container.utf8.count + 1), as: UTF8.self)
  }
}
