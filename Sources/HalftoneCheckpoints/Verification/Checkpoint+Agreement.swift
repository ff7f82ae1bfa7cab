import HalftoneSchemes
import HalftoneTensor

/// Where `config.json`, the index and the tensors of a directory contradict each other.
extension Checkpoint {
  public func disagreements() -> [CheckpointProblem] {
    do {
      let quantization = try quantization()
      guard case .none = quantization else {
        let coded = Set(linearModules.filter(hasCodes))
        return try problems(quantization, coded) + sizeProblems()
      }
      return try sizeProblems()
    } catch {
      return [CheckpointProblem("config.json", error, at: path)]
    }
  }

  /// Also where they cannot be read, which is said elsewhere.
  private func hasCodes(_ module: String) -> Bool {
    do { return try quantizedShape(module) != nil } catch { return true }
  }

  private func problems(
    _ quantization: StoredQuantization, _ coded: Set<String>
  ) throws -> [CheckpointProblem] {
    switch quantization {
    case .none: return []
    case .compressedTensors(let config):
      return denseProblems(coded) { config.group(of: $0)?.weights != nil } + targetProblems(config)
        + (try strayProblems(coded)) + cacheProblems()
    case .gptq(let config):
      return partlyDenseProblems(coded) { config.settings(of: $0) != nil }
        + ruleProblems(config) + orderProblems(config, coded)
        + strayProblems(["qzeros", "g_idx", "scales"], beside: coded)
    case .awq(let config):
      return partlyDenseProblems(coded) { module in !config.dense.contains(where: module.contains) }
        + strayProblems(["qzeros", "scales"], beside: coded)
    case .mlx(let config):
      let affine = coded.filter { config.settings(of: $0)?.mode == .affine }
      return entryProblems(config, coded) + strayProblems(["biases"], beside: affine)
    }
  }

  // MARK: - Layers that should have codes

  /// Layers that are to be quantized, and are not.
  private func denseProblems(
    _ coded: Set<String>, _ isQuantized: (String) -> Bool
  ) -> [CheckpointProblem] {
    linearModules.compactMap { module in
      guard !coded.contains(module), contains(module + ".weight"), !isEmbedding(module),
        isQuantized(module)
      else { return nil }
      return CheckpointProblem(
        module, "quantization_config says that it is quantized, but its weight is dense",
        remedy: "leave it out in quantization_config, or quantize the original model again")
    }
  }

  /// The same for tools that know by the network which layers are quantized: dense ones that have codes in
  /// another block.
  private func partlyDenseProblems(
    _ coded: Set<String>, _ isQuantized: (String) -> Bool
  ) -> [CheckpointProblem] {
    func kind(_ module: String) -> String {
      module.split(separator: ".").filter { Int($0) == nil }.joined(separator: ".")
    }
    let kinds = Set(coded.map(kind))
    return denseProblems(coded) { kinds.contains(kind($0)) && isQuantized($0) }
  }

  // MARK: - Rules

  /// Names and expressions that are no layer's; what other classes than "Linear" are is not known here.
  private func targetProblems(_ config: CompressedTensorsConfig) -> [CheckpointProblem] {
    let modules = Set(linearModules)
    return config.groups.flatMap { group in
      group.targets.compactMap { target in
        let expression = ModulePattern.expression(target)
        guard target.contains(".") || expression != nil, !modules.contains(target) else {
          return nil
        }
        guard !Self.fits(expression, any: modules) else { return nil }
        return CheckpointProblem(
          "config.json",
          "quantization_config: \(group.name) is for \"\(target)\", which no layer is called",
          remedy: "restore the checkpoint's own config.json")
      }
    }
  }

  private static func fits(_ expression: String?, any modules: Set<String>) -> Bool {
    guard let expression, let regex = try? Regex<AnyRegexOutput>(expression) else { return false }
    return modules.contains { (try? regex.prefixMatch(in: $0)) != nil }
  }

  /// Rules of GPTQ that give settings to no layer.
  private func ruleProblems(_ config: GPTQConfig) -> [CheckpointProblem] {
    let modules = Set(linearModules)
    return config.overrides.compactMap { rule in
      guard rule.settings != nil, rule.name.map({ !modules.contains($0) }) ?? true,
        !Self.fits(rule.expression, any: modules)
      else { return nil }
      return CheckpointProblem(
        "config.json",
        "quantization_config: dynamic has settings for \"\(rule.expression)\", which no layer is called",
        remedy: "restore the checkpoint's own config.json")
    }
  }

  /// Groups in activation order of which the configuration says that there are none.
  private func orderProblems(
    _ config: GPTQConfig, _ coded: Set<String>
  ) -> [CheckpointProblem] {
    guard !config.ordersColumns else { return [] }
    return coded.sorted().filter { (try? hasReorderedGroups($0)) == true }.map { module in
      CheckpointProblem(
        module + ".g_idx",
        "its groups are in activation order, but desc_act in quantization_config is false, with which some "
          + "tools pass over it",
        remedy: "set desc_act to true in quantization_config")
    }
  }

  /// Entries of MLX for layers that are dense.
  private func entryProblems(
    _ config: MLXConfig, _ coded: Set<String>
  ) -> [CheckpointProblem] {
    config.overrides.keys.sorted().compactMap { module in
      guard config.settings(of: module) != nil, !coded.contains(module) else { return nil }
      return CheckpointProblem(
        module,
        contains(module + ".weight")
          ? "config.json has settings for it, but its weight is dense"
          : "config.json has settings for it, but there is no such layer",
        remedy: "restore the checkpoint's own config.json")
    }
  }

  // MARK: - Tensors without a use

  /// Tensors of these suffixes whose layers are not among `modules`.
  private func strayProblems(
    _ suffixes: [String], beside modules: Set<String>
  ) -> [CheckpointProblem] {
    names.compactMap { name in
      guard let dot = name.lastIndex(of: "."), !modules.contains(String(name[..<dot])),
        suffixes.contains(String(name[name.index(after: dot)...]))
      else { return nil }
      return CheckpointProblem(
        name, "belongs to no quantized layer that has a use for it",
        remedy: "remove it, or restore config.json")
    }
  }

  /// Parts of quantized layers beside layers that are not.
  private func strayProblems(_ coded: Set<String>) throws -> [CheckpointProblem] {
    try names.compactMap { name in
      guard let suffix = Self.compressedSuffixes.first(where: { name.hasSuffix("." + $0) }) else {
        return nil
      }
      let module = String(name.dropLast(suffix.count + 1))
      guard coded.contains(module) else {
        return CheckpointProblem(
          name, "belongs to no quantized layer", remedy: "remove it, or restore config.json")
      }
      let scheme = try storedScheme(module)
      let isUsed =
        switch suffix {
        case "weight_global_scale": scheme?.weights?.scales == .e4m3
        case "weight_row_scale": scheme?.weights?.scales.hasRowUnits ?? false
        case "weight_scale_shift": scheme?.weights?.scales.dyadicBits != nil
        case "weight_scale_unit", "weight_scale_mean": scheme?.weights?.scales == .nested
        case "input_scale", "input_zero_point": scheme?.inputs?.dynamic == false
        case "input_global_scale": scheme?.inputs?.scales == .e4m3
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
