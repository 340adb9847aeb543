/// A kind of tensor that training tools keep next to a network's weights, and that inference does not use.
package enum AuxiliaryTensor: String, Sendable, CaseIterable {
  /// A number that a profiler counted for a module. Source: thop 0.1 `profile.py`.
  case profilerCounter = "profiler counter"
  /// The number of averaged steps, or a moving average's decay. Source: PyTorch `optim/swa_utils.py`;
  /// latent-diffusion `modules/ema.py`; ema-pytorch `ema_pytorch.py`.
  case averagingCounter = "averaging counter"
  /// The number of steps that an optimizer keeps for a parameter: `optimizer.state.0.step`. Source: PyTorch `optim/adam.py`.
  case optimizerStep = "optimizer step"
  /// A range or a setting of quantisation-aware training. Source: PyTorch `ao/quantization/observer.py`,
  /// `fake_quantize.py`, `fx/prepare.py`.
  case quantizationObserver = "quantisation observer"

  /// Recognises a tensor by its name and its number of elements; nil for any other tensor.
  package init?(name: String, elementCount: Int) {
    let steps = name.split(separator: ".")
    guard let last = steps.last else { return nil }
    if elementCount == 1, ["total_ops", "total_params"].contains(last) {
      self = .profilerCounter
    } else if elementCount == 1, last == "step",
      steps.dropLast().last.map({ $0.allSatisfy(\.isNumber) }) ?? false
    {
      self = .optimizerStep
    } else if elementCount == 1, ["n_averaged", "num_updates", "decay", "initted", "step"].contains(last) {
      self = .averagingCounter
    } else if steps.dropLast().contains(where: { step in
      Self.observers.contains { step == $0 || step.hasPrefix($0 + "_") }
    }) {
      self = .quantizationObserver
    } else {
      return nil
    }
  }

  /// The modules that record ranges. PyTorch numbers those of a traced graph: `activation_post_process_0`.
  private static let observers = ["activation_post_process", "weight_fake_quant", "bias_fake_quant"]
}
