package import DecantTensors

/// A family of networks that are not ResNets, by the names of their tensors. It is a hint: nothing else is checked.
package struct NetworkFamily: Sendable {
  /// The family, with the sizes that names and shapes show, such as `a ViT-B/16`.
  package let description: String

  /// Looks for the names that only one family has; nil when no name is one. O(families × tensors).
  package init?(of stateDict: StateDict) {
    let search = TensorSearch(entries: Array(stateDict.entries.prefix(20_000)))
    guard let description = Self.families.lazy.compactMap({ $0(search) }).first else { return nil }
    self.description = description
  }

  /// The tests for families; of two that fit, the first counts.
  private static let families: [@Sendable (TensorSearch) -> String?] = [
    optimizer, lora, llama, stableDiffusion, vision, bert, gpt, t5, detector, yolo, swin, convolutional,
    recurrent,
    vocabulary,
  ]

  @Sendable private static func optimizer(_ tensors: TensorSearch) -> String? {
    let moments = ["exp_avg", "exp_avg_sq", "momentum_buffer", "square_avg", "acc_delta"]
    let count = tensors.entries.count { entry in moments.contains { TensorSearch.ends(entry.name, $0) } }
    return count * 2 > tensors.entries.count ? "optimizer state, not a network's weights" : nil
  }

  @Sendable private static func lora(_ tensors: TensorSearch) -> String? {
    var targets: [String] = []
    var ranks: Set<Int> = []
    for entry in tensors.entries {
      // diffusers: `attn1.processor.to_q_lora.down.weight`.
      if let range = entry.name.firstRange(of: "_lora.down."), let rank = entry.tensor.shape.first {
        ranks.insert(rank)
        let target = String(entry.name[..<range.lowerBound].split(separator: ".").last ?? "")
        if !targets.contains(target) { targets.append(target) }
      }
      for part in ["lora_A", "lora_down"] {
        guard let range = entry.name.firstRange(of: ".\(part)."), let rank = entry.tensor.shape.first,
          entry.tensor.shape.count >= 2
        else { continue }
        ranks.insert(rank)
        let module = entry.name[..<range.lowerBound].split(separator: ".").last ?? ""
        // kohya's names hold the whole path in one part.
        let target = module.split(separator: "_").suffix(module.hasPrefix("lora_") ? 2 : .max).joined(
          separator: "_")
        if !targets.contains(target) { targets.append(target) }
      }
    }
    guard let least = ranks.min(), let most = ranks.max() else { return nil }
    let names = targets.sorted().prefix(6).joined(separator: ", ") + (targets.count > 6 ? ", …" : "")
    return "a LoRA adapter of rank \(least == most ? "\(least)" : "\(least) to \(most)") for \(names)"
  }

  @Sendable private static func llama(_ tensors: TensorSearch) -> String? {
    guard let query = tensors.first("layers.0.self_attn.q_proj.weight"),
      tensors.first("layers.0.mlp.gate_proj.weight") != nil
    else { return nil }
    return
      "a transformer like Llama with \(tensors.count("self_attn.q_proj.weight")) layers of width \(query.last ?? 0)"
  }

  @Sendable private static func stableDiffusion(_ tensors: TensorSearch) -> String? {
    if tensors.first("diffusion_model.input_blocks.0.0.weight") != nil {
      return "a Stable Diffusion checkpoint"
    }
    return tensors.first("down_blocks.0.resnets.0.conv1.weight") != nil
      && (tensors.first("mid_block.resnets.0.conv1.weight") != nil)
      ? "a diffusion U-Net or its autoencoder" : nil
  }

  /// The vision transformers' letters by width and depth. Source: Dosovitskiy et al. 2021, Touvron et al. 2021.
  private static let letters: [(width: Int, depth: Int, letter: String)] = [
    (192, 12, "Ti"), (384, 12, "S"), (768, 12, "B"), (1024, 24, "L"), (1280, 32, "H"), (1408, 40, "g"),
  ]

  @Sendable private static func vision(_ tensors: TensorSearch) -> String? {
    let kinds = [
      ("patch_embed.proj.weight", "blocks.0.attn.qkv.weight", "attn.qkv.weight"),
      (
        "conv_proj.weight", "layers.encoder_layer_0.self_attention.in_proj_weight",
        "self_attention.in_proj_weight"
      ),
      (
        "patch_embeddings.projection.weight", "layer.0.attention.attention.query.weight",
        "attention.query.weight"
      ),
      (
        "patch_embeddings.projection.weight", "layers.0.attention.q_proj.weight", "attention.q_proj.weight"
      ), ("conv1.weight", "transformer.resblocks.0.attn.in_proj_weight", "attn.in_proj_weight"),
    ]
    for (patch, first, layer) in kinds {
      guard let shape = tensors.first(patch), shape.count == 4, tensors.first(first) != nil else { continue }
      let (width, size, depth) = (shape[0], shape[2], tensors.count(layer))
      let known = letters.first { $0.width == width && $0.depth == depth }
      return known.map { "a ViT-\($0.letter)/\(size)" }
        ?? "a vision transformer with \(depth) layers of width \(width) and \(size)×\(size) patches"
    }
    return nil
  }

  @Sendable private static func bert(_ tensors: TensorSearch) -> String? {
    guard let query = tensors.first("encoder.layer.0.attention.self.query.weight") else { return nil }
    return
      "a transformer like BERT with \(tensors.count("attention.self.query.weight")) layers of width \(query.last ?? 0)"
  }

  @Sendable private static func gpt(_ tensors: TensorSearch) -> String? {
    guard let attention = tensors.first("h.0.attn.c_attn.weight") else { return nil }
    return
      "a transformer like GPT-2 with \(tensors.count("attn.c_attn.weight")) layers of width \(attention.first ?? 0)"
  }

  @Sendable private static func t5(_ tensors: TensorSearch) -> String? {
    tensors.first("encoder.block.0.layer.0.SelfAttention.q.weight") != nil ? "a transformer like T5" : nil
  }

  @Sendable private static func detector(_ tensors: TensorSearch) -> String? {
    if tensors.contains("roi_heads."), tensors.contains("rpn.") || tensors.contains("proposal_generator.") {
      return tensors.contains("mask") ? "a Mask R-CNN detector" : "a Faster R-CNN detector"
    }
    if tensors.contains("rpn_head."), tensors.contains("roi_head.") {
      return "a two-stage detector of mmdetection"
    }
    if tensors.contains("class_embed."), tensors.contains("bbox_embed.") { return "a DETR detector" }
    if tensors.contains("head.classification_head."), tensors.contains("head.regression_head.") {
      return "a one-stage detector such as RetinaNet"
    }
    return tensors.contains("bbox_head.") ? "a one-stage detector of mmdetection" : nil
  }

  @Sendable private static func yolo(_ tensors: TensorSearch) -> String? {
    if tensors.first("model.0.conv.weight") != nil, tensors.contains(".cv1.conv.weight") {
      return "a YOLO detector"
    }
    if tensors.contains("backbone.dark2.0.conv.") || tensors.contains("dark3.0.conv.conv.") {
      return "a YOLOX detector"
    }
    return tensors.first("module_list.0.Conv2d.weight") != nil
      || tensors.first("module_list.0.conv_0.weight") != nil
      ? "a YOLO detector of Darknet's layers" : nil
  }

  @Sendable private static func swin(_ tensors: TensorSearch) -> String? {
    tensors.contains("attn.relative_position_bias_table") ? "a Swin transformer" : nil
  }

  @Sendable private static func convolutional(_ tensors: TensorSearch) -> String? {
    if tensors.contains("denseblock1.denselayer1.") { return "a DenseNet" }
    if tensors.contains("Mixed_5b.branch") { return "an Inception network" }
    if tensors.contains("blocks.0.0.conv_dw.weight") || tensors.contains("_blocks.0._depthwise_conv.weight") {
      return "a network of depthwise convolutions such as EfficientNet or MobileNet"
    }
    if tensors.first("features.1.conv.0.0.weight") != nil { return "a MobileNetV2" }
    if tensors.first("features.0.weight") != nil, tensors.first("classifier.6.weight") != nil {
      let count = tensors.entries.count {
        $0.tensor.shape.count == 4 && ($0.name.hasPrefix("features.") || $0.name.contains(".features."))
      }
      return count == 5 ? "an AlexNet" : "a VGG-\(count + 3)"
    }
    return nil
  }

  @Sendable private static func recurrent(_ tensors: TensorSearch) -> String? {
    tensors.contains("weight_ih_l0") ? "a recurrent network" : nil
  }

  @Sendable private static func vocabulary(_ tensors: TensorSearch) -> String? {
    let words = ["embed", "vocab", "word", "token"]
    guard tensors.entries.count <= 2,
      let table = tensors.entries.first(where: { entry in
        let shape = entry.tensor.shape
        return shape.count == 2 && shape[0] >= 1000 && shape[1] >= 8
          && (entry.name == "weight" || words.contains { entry.name.lowercased().contains($0) })
      })
    else { return nil }
    return "a vocabulary: \(table.tensor.shape[0]) embeddings of width \(table.tensor.shape[1])"
  }
}

/// A search of tensors by the ends of their names.
private struct TensorSearch: Sendable {
  let entries: [StateDict.Entry]

  /// Returns true when a name is this ending, or has it after a dot.
  static func ends(_ name: String, _ ending: String) -> Bool {
    name.hasSuffix(ending)
      && (name.utf8.count == ending.utf8.count || name.dropLast(ending.count).hasSuffix("."))
  }

  /// Returns the shape of the first tensor whose name ends so; nil when there is none.
  func first(_ ending: String) -> [Int]? { entries.first { Self.ends($0.name, ending) }?.tensor.shape }

  /// Returns the number of tensors whose names end so.
  func count(_ ending: String) -> Int { entries.count { Self.ends($0.name, ending) } }

  /// Returns true when some name has this part.
  func contains(_ part: String) -> Bool { entries.contains { $0.name.contains(part) } }
}
