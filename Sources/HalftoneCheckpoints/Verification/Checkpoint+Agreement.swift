import HalftoneSchemes
import HalftoneTensor

/// Where `config.json`, the index and the tensors of a directory contradict each other.
extension Checkpoint {
  public func disagreements() -> [CheckpointProblem] {
    do {
      guard let config = try quantizationConfig() else { return try sizeProblems() }
      let coded = Set(try linearModules.filter { try quantizedShape($0) != nil })
      return try denseProblems(config, coded) + targetProblems(config) + strayProblems(coded)
        + sizeProblems()
    } catch {
      return [CheckpointProblem("config.json", error, at: path)]
    }
  }

  /// Layers that are to be quantized, and are not.
  private func denseProblems(
    _ config: CompressedTensorsConfig, _ coded: Set<String>
  ) -> [CheckpointProblem] {
    linearModules.compactMap { module in
      guard !coded.contains(module), contains(module + ".weight"), !isEmbedding(module),
        config.group(of: module)?.weights != nil
      else { return nil }
      return CheckpointProblem(
        module, "quantization_config says that it is quantized, but its weight is dense",
        remedy: "add it to ignore in quantization_config, or quantize the original model again")
    }
  }

  /// Names and expressions that are no layer's; what other classes than "Linear" are is not known here.
  private func targetProblems(_ config: CompressedTensorsConfig) -> [CheckpointProblem] {
    let modules = linearModules
    return config.groups.flatMap { group in
      group.targets.compactMap { target in
        let isName = target.contains(".") || ModulePattern.expression(target) != nil
        guard isName, !modules.contains(where: { ModulePattern.rank(target, $0) != nil }) else {
          return nil
        }
        return CheckpointProblem(
          "config.json",
          "quantization_config: \(group.name) is for \"\(target)\", which no layer is called",
          remedy: "restore the checkpoint's own config.json")
      }
    }
  }

  /// Parts of quantized layers beside layers that are not.
  private func strayProblems(_ coded: Set<String>) throws -> [CheckpointProblem] {
    let suffixes =
      [
        "weight_packed", "weight_scale", "weight_zero_point", "weight_shape", "weight_global_scale",
        "weight_g_idx", "input_scale", "input_zero_point", "input_global_scale",
      ] + LayerAdditions.ownSuffixes
    return try names.compactMap { name in
      guard let suffix = suffixes.first(where: { name.hasSuffix("." + $0) }) else { return nil }
      let module = String(name.dropLast(suffix.count + 1))
      guard coded.contains(module) else {
        return CheckpointProblem(
          name, "belongs to no quantized layer", remedy: "remove it, or restore config.json")
      }
      let scheme = try storedScheme(module)
      let isUsed =
        switch suffix {
        case "weight_global_scale": scheme?.weights?.scales == .e4m3
        case "input_scale", "input_zero_point": scheme?.inputs?.dynamic == false
        case "input_global_scale": scheme?.inputs != nil
        default: true
        }
      return isUsed
        ? nil
        : CheckpointProblem(
          name, "the layer's scheme in quantization_config has no use for it",
          remedy: "remove it, or restore config.json")
    }
  }

  // MARK: - Index

  /// The size that the index of shards states; its names were compared when it was read.
  private func sizeProblems() throws -> [CheckpointProblem] {
    let name = "model.safetensors.index.json"
    let single = path + "/model.safetensors"
    guard !exists(single), exists(path + "/" + name),
      let stated = try readJSON(path + "/" + name)["metadata"]?["total_size"]?.int
    else { return [] }
    let total = try byteCount()
    guard stated != total else { return [] }
    return [
      CheckpointProblem(
        name, "total_size is \(stated), but the tensors take \(total) bytes",
        remedy: "write the index again, or fetch the shards again")
    ]
  }
}
