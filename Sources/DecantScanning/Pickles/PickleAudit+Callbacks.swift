internal import DecantBytes
internal import DecantPickle

/// Checks of functions and classes that a stream passes to other functions, which call them without a call opcode.
extension PickleAudit {
  /// The indices of the arguments that each function calls or instantiates.
  private static let callers: [String: [Int]] = [
    "functools.partial": [0], "collections.defaultdict": [0], "_collections.defaultdict": [0],
    "weakref.ref": [1],
    "copyreg._reconstructor": [0, 1], "copyreg.__newobj__": [0], "copyreg.__newobj_ex__": [0],
    "copy_reg._reconstructor": [0, 1], "copy_reg.__newobj__": [0], "copy_reg.__newobj_ex__": [0],
    "numpy.random._pickle.__randomstate_ctor": [0, 1], "numpy.random._pickle.__generator_ctor": [0, 1],
    "numpy.random._pickle.__bit_generator_ctor": [0], "numpy.ma.core._mareconstruct": [0, 1],
  ]
  /// Functions that return an object shared by the whole process, so that setting a state would change it.
  private static let sharers: Set<String> = [
    "builtins.type", "__builtin__.type", "logging.getLogger", "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar", "torch.nn.backends.thnn._get_thnn_function_backend",
  ]
  /// Attributes that NumPy and PyTorch look up on any object they receive, and then call or trust.
  private static let protocols: Set<String> = [
    "__array__", "__array_interface__", "__array_struct__", "__array_function__", "__array_ufunc__",
    "__array_wrap__", "__array_finalize__", "__array_prepare__", "__cuda_array_interface__", "__dlpack__",
    "__dlpack_device__", "__torch_function__", "__torch_dispatch__",
  ]

  /// Judges the callables that an object's function calls, and the effect of the object's state on its result.
  func judgeCallbacks(_ object: PickleObject, calling global: PickleGlobal) {
    if Self.sharers.contains(global.qualifiedName), !object.states.isEmpty {
      report(
        .dangerous, .importChanged, object.offset,
        "attributes are set on what \(CallFormatter.name(global)) returns, which the whole process shares",
        call: CallFormatter.call(object, in: graph))
    }
    if let places = Self.callers[global.qualifiedName] {
      let arguments = graph.arguments(object) ?? []
      for place in places where place < arguments.count {
        judge(handed: arguments[place], to: global, in: object)
      }
      // The state of functools.partial contains a function, which replaces its own.
      for state in object.states {
        if let parts = graph.tuple(state), parts.count == 4 {
          judge(handed: parts[0], to: global, in: object)
        }
      }
    }
  }

  private func judge(handed value: PickleValue, to caller: PickleGlobal, in object: PickleObject) {
    if let method = graph.object(value), let owner = methodOwner(method), owner.module.hasPrefix("torch") {
      return report(
        .dangerous, .methodPath, object.offset,
        "a method of a \(CallFormatter.name(owner)), which \(CallFormatter.name(caller)) calls",
        call: CallFormatter.call(object, in: graph))
    }
    guard let function = name(of: value), !Self.isArithmetic(function),
      case .dangerousWhenCalled(let rule, let reason) = audit.standing(
        module: function.module, name: function.name)
    else { return }
    report(
      .dangerous, rule, object.offset,
      "\(CallFormatter.name(function)): \(reason); \(CallFormatter.name(caller)) calls it",
      call: CallFormatter.call(object, in: graph))
  }

  /// Returns true for tensor functions that models keep as activations and initialisers.
  static func isArithmetic(_ function: PickleGlobal) -> Bool {
    ["torch.nn.functional", "torch.nn.init", "torch._C._nn"].contains(function.module)
      && !function.name.contains(".")
  }

  /// Returns the name that a value refers to, directly or through a persistent id or `getattr`.
  private func name(of value: PickleValue) -> PickleGlobal? {
    switch graph.node(value) {
    case .global(let global): global
    case .object(let object): attribute(object)
    case .persistentID(let id): moduleClass(id)
    default: nil
    }
  }

  /// Returns the class in `('module', class, source file, source)`, a persistent id of legacy files.
  func moduleClass(_ id: PickleValue) -> PickleGlobal? {
    guard let parts = graph.tuple(id), parts.count == 4, graph.text(parts[0], upTo: 100) == "module" else {
      return nil
    }
    return graph.global(parts[1])
  }

  /// Judges the attributes that a state sets on an object of a tensor file.
  ///
  /// Functions look attributes up on whatever they receive. For example, `dict(…)` calls the `keys` attribute of an
  /// `OrderedDict`, which can be any function.
  ///
  /// - Parameter isOpen: True when programs keep functions in such an object, as in `argparse.Namespace`. Then only the
  ///   names that Python itself looks up matter.
  func judgeAttributes(_ state: PickleValue, of owner: PickleGlobal, at offset: Int, isOpen: Bool = false) {
    let parts = graph.tuple(state).map { Array($0.prefix(4)) } ?? [state]
    for case .dictionary(let pairs) in parts.map({ graph.node($0) }) {
      guard audit.spend(pairs.count) else { return }
      for pair in pairs {
        let key = graph.text(pair.key, upTo: 200) ?? "…"
        if Self.protocols.contains(key) {
          report(
            .dangerous, .methodReplaced, offset,
            "\(key) of \(CallFormatter.name(owner)) is set, which NumPy and PyTorch call",
            call: "object.\(key) = \(CallFormatter.value(pair.value, in: graph))")
          continue
        }
        if isOpen && key != "keys" { continue }
        if let method = graph.object(pair.value), methodOwner(method) != nil {
          report(
            .dangerous, .methodReplaced, offset,
            "an attribute of \(CallFormatter.name(owner)) becomes a method, which other functions may call",
            call: CallFormatter.call(method, in: graph))
          continue
        }
        guard let function = name(of: pair.value) else { continue }
        let severity: ScanSeverity
        switch audit.standing(module: function.module, name: function.name) {
        case .known(.value): continue
        // The class of an array in joblib's description of it.
        case .known, .unknown:
          if key == "subclass", JoblibArrays.isWrapper(owner) { continue }
          severity = .unknown
        case .dangerousWhenCalled: severity = .dangerous
        case .dangerous: severity = .unknown
        }
        report(
          severity, .methodReplaced, offset,
          "an attribute of \(CallFormatter.name(owner)) becomes a function, which other functions may call",
          call:
            "object.\(String(key.prefix(80)).escapedForDisplay) = \(CallFormatter.name(function))"
        )
      }
    }
  }
}
