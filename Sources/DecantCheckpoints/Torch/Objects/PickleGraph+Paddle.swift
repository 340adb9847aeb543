internal import DecantPickle

extension PickleGraph {
  /// Returns the array of a tensor that Paddle wrote; nil for other calls.
  ///
  /// A tensor is `eval('data', {'data': array})`, and a parameter `tuple((name, array))`, which Paddle's loader turns into
  /// the array.
  ///
  /// Source: Paddle 3.0 `python/paddle/framework/io.py`, `_pickle_save` and `_tuple_to_tensor`.
  func paddleValue(of object: PickleObject, _ type: String) -> PickleValue? {
    guard object.construction == .reduce, object.items.isEmpty, object.pairs.isEmpty, object.states.isEmpty,
      let arguments = tuple(object.arguments)
    else { return nil }
    switch type {
    case "builtins.eval", "__builtin__.eval":
      guard arguments.count == 2, isText(arguments[0], "data"), let names = dictionary(arguments[1]),
        names.count == 1, isText(names[0].key, "data"), isArray(names[0].value)
      else { return nil }
      return names[0].value
    case "builtins.tuple", "__builtin__.tuple":
      guard arguments.count == 1, let pair = tuple(arguments[0]) ?? list(arguments[0]), pair.count == 2,
        text(pair[0]) != nil, isArray(pair[1])
      else { return nil }
      return pair[1]
    default: return nil
    }
  }

  private func isArray(_ value: PickleValue) -> Bool {
    guard let callable = object(value).flatMap({ callable($0.callable) }) else { return false }
    return TensorReconstruction.isKnown(callable) && callable.name != "scalar"
  }
}
