/// The structure of an optimizer's state, which distinguishes its values from weights.
///
/// `Optimizer.state_dict()` is `{"state": {parameter: {name: value}}, "param_groups": [{"params": [parameter]}]}`. A
/// parameter is a number, or a name where FSDP saved it. fastai writes `{"state": [{name: value}], "hypers": […]}`.
///
/// Source: PyTorch `torch/optim`, `torch/distributed/fsdp/_optim_utils.py`; transformers `optimization.py`;
/// bitsandbytes `optim/optimizer.py`; fastai `optimizer.py`.
enum OptimizerState {
  /// The names that only optimizers give to their values of a parameter.
  static let moments: Set<String> = [
    "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_avg_sq_row", "exp_avg_sq_col", "exp_avg_diff", "exp_inf",
    "momentum_buffer", "square_avg", "grad_avg", "sqr_avg", "acc_delta", "neg_pre_grad", "prev_flat_grad",
    "row_var", "col_var", "state1", "state2", "absmax1", "absmax2", "qmap1", "qmap2",
  ]

  /// Names that are those of moments inside an optimizer's `state`, and of weights or measurements elsewhere.
  private static let otherNames: Set<String> = [
    "step", "m", "v", "mu", "nu", "s", "z", "sum", "prev", "step_size", "eta", "ax", "mu_product", "variance",
    "momentum", "RMS", "slow_buffer", "precond", "max1", "max2", "new_max1", "new_max2", "unorm_vec",
  ]

  /// Returns true for a name that an optimizer in common use gives to a value of a parameter.
  static func isKnown(_ name: String) -> Bool {
    moments.contains(name) || otherNames.contains(name)
  }

  /// Returns true for a name that modules give to their tensors. The state of a parameter has none.
  static func isWeightName(_ name: String) -> Bool {
    name.contains(".") || ["weight", "bias", "kernel", "running_mean", "running_var"].contains(name)
  }
}

/// The paths of mappings such as `exp_avg` and `exp_avg_sq` beside each other, with a moment of each parameter in each.
struct MomentMappings {
  /// The names of moments below each path.
  private var names: [[PathKey]: Set<String>] = [:]

  /// Finds the mappings. O(keys of the paths).
  init(_ tensors: [CheckpointTensor]) {
    for tensor in tensors where tensor.purpose == nil {
      for (place, key) in tensor.path.enumerated().dropLast() where OptimizerState.moments.contains(key.name)
      {
        names[Array(tensor.path[..<place]), default: []].insert(key.name)
      }
    }
  }

  /// Returns true for the path of a mapping that is one of these, or inside one.
  ///
  /// A mapping that has the name of a moment and no siblings may be the running average of all weights, so it does not
  /// count as moments.
  func contains(_ path: [PathKey]) -> Bool {
    guard !names.isEmpty else { return false }
    return path.indices.contains { place in
      OptimizerState.moments.contains(path[place].name)
        && (names[Array(path[..<place])]?.count ?? 0) > 1
    }
  }

  /// Returns true for the path of a tensor that has the name of a moment, or is in one of the mappings.
  func contains(tensorAt path: [PathKey]) -> Bool {
    path.last(where: \.isText).map { OptimizerState.moments.contains($0.name) } == true || contains(path)
  }
}
