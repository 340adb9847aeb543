internal import DecantBytes
internal import DecantTensors

/// The places of a selection's tensors as a tree of steps, and which of them the written object has.
///
/// A tensor stays where it stands unless it was renamed or its container is not written. It then goes into the nearest
/// mapping above it whose name its own begins with.
struct TensorPlaces {
  /// What is written at a place.
  enum Form {
    /// Nothing of its own: it is unknown, or lies in something that is not written.
    case absent
    case tensor
    /// A dictionary of any kind.
    case mapping
    /// A list, tuple or set, or what is attached to a tensor: what is in it has no name to change.
    case sequence
    /// A state dict of the tensors below, in place of something that is not written.
    case stateDict
  }

  struct Place {
    let parent: Int
    let key: PathKey?
    /// The names of all steps to here, joined.
    let name: String
    var children: [Int] = []
    /// Whether a tensor of the checkpoint stands here.
    var isTensor = false
    /// The planned tensor that stands here.
    var tensor: Int?
    /// The object of the checkpoint that stands here, when the tree has objects.
    var object: Int?
    var form = Form.absent
    /// Tensors that are written here or below.
    var stayingCount = 0
    /// The tensor's new key in the same mapping.
    var newKey: String?
    /// Whether the tensor that stands here is written elsewhere.
    var isMoved = false
    /// Whether that holds of a tensor that this is attached to.
    var isCutOff = false
    /// Tensors that were moved here, and their keys.
    var arrivals: [(key: String, tensor: Int)] = []
  }

  private(set) var places: [Place]
  private var index: [Edge: Int] = [:]
  /// Whether every tensor is written where it stands, under its own name.
  private(set) var isUnchanged = false

  private struct Edge: Hashable {
    let parent: Int
    let key: PathKey
  }

  /// The places of all tensors below the selection. O(steps).
  init(_ plan: ConversionPlan) {
    places = [Place(parent: -1, key: nil, name: "")]
    let root = plan.selection.path
    for entry in plan.checkpoint.tensors where entry.path.starts(with: root) {
      let place = insert(entry.path.dropFirst(root.count))
      places[place].isTensor = true
    }
    for (index, tensor) in plan.tensors.enumerated() {
      places[insert(tensor.entry.path.dropFirst(root.count))].tensor = index
    }
  }

  subscript(place: Int) -> Place { places[place] }

  /// How many places there are; what stands below a place comes after it.
  var count: Int { places.count }

  /// The place one step on; nil when no tensor stands there or below.
  func child(of place: Int, _ key: PathKey) -> Int? { index[Edge(parent: place, key: key)] }

  /// Sets what is written at a place.
  mutating func set(_ form: Form, at place: Int) { places[place].form = form }

  /// Adds an object's place.
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

  // MARK: Where tensors go

  /// Gives every tensor its place by its name, once all forms are set.
  ///
  /// - Throws: ``DecantError`` for a name that fits no mapping.
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
        places[home].arrivals.append((key, tensor))
        return count(home)
      }
      home = places[home].parent
    }
    throw DecantError(
      .notRepresentable, "is in no dictionary that could hold it under this name", tensor: name,
      advice: .chooseKey([]))
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
  /// What follows `container` and a dot; all of it for the outermost, which has no name.
  fileprivate func key(below container: String) -> String? {
    if container.isEmpty { return self }
    guard utf8.starts(with: container.utf8), utf8.dropFirst(container.utf8.count).first == UInt8(ascii: ".")
    else { return nil }
    return String(decoding: utf8.dropFirst(container.utf8.count + 1), as: UTF8.self)
  }
}
