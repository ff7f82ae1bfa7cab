import HalftoneSchemes

/// The `quantization_config` of layers stored so, among all the `tensors` of a checkpoint.
func quantizationConfig(
  _ layouts: [ModuleLayout], tensors: [TensorDescription],
  for method: CompressedTensorsConfig.Method, cache: JSONValue = .null
) -> JSONValue {
  let groups = groups(layouts)
  let untouched = untouchedLayers(layouts, tensors)
  var configGroups = JSONObject()
  for (index, group) in groups.enumerated() {
    // A class name serves when there is one scheme; several are told apart by exact names.
    let coversAll = groups.count == 1 && !group.contains { isEmbedding($0.module) }
    let targets = coversAll ? ["Linear"] : group.map(\.module)
    configGroups["group_\(index)"] = description(of: group[0], targets: targets)
  }
  let formats = Set(groups.map { $0[0].format })
  let format = formats.count > 1 ? "mixed-precision" : formats.first ?? "dense"
  return [
    "config_groups": .object(configGroups),
    "format": .string(format),
    "global_compression_ratio": .null,
    "ignore": .array(untouched.map { .string($0) }),
    "kv_cache_scheme": cache,
    "moe_sparsity_config": .null,
    "quant_method": .string(method.rawValue),
    "quantization_status": "compressed",
    "sparsity_config": [:],
    "transform_config": [:],
    // The release whose layout this is: before it, codes of 3, 5, 6 and 7 bits did not cross words.
    "version": "0.20.0",
  ]
}

/// Layers of one scheme and format together, in the order of their first members.
private func groups(_ layouts: [ModuleLayout]) -> [[ModuleLayout]] {
  var groups: [[ModuleLayout]] = []
  for layout in layouts {
    let index = groups.firstIndex {
      $0[0].weights.format.name == layout.weights.format.name
        && $0[0].weights.granularity == layout.weights.granularity
        && $0[0].weights.symmetric == layout.weights.symmetric
        && $0[0].weights.scales == layout.weights.scales
        && $0[0].inputs == layout.inputs && $0[0].isPacked == layout.isPacked
    }
    if let index { groups[index].append(layout) } else { groups.append([layout]) }
  }
  return groups
}

/// Matrices that are not quantized and could be linear layers; always the output layer if dense.
///
/// The output layer may be listed without being stored: tied to the embedding, it is a linear layer
/// to the tools that match names.
private func untouchedLayers(
  _ layouts: [ModuleLayout], _ tensors: [TensorDescription]
) -> [String] {
  let quantized = Set(layouts.map(\.module))
  let suffix = ".weight"
  var result: Set<String> = ["lm_head"]
  for tensor in tensors where tensor.shape.count == 2 && tensor.name.hasSuffix(suffix) {
    let module = String(tensor.name.dropLast(suffix.count))
    if !isEmbedding(module) { result.insert(module) }
  }
  return result.subtracting(quantized).sorted()
}

/// Whether the name is that of a table of words or positions.
package func isEmbedding(_ module: String) -> Bool {
  let name = module.split(separator: ".").last ?? ""
  return name.contains("embed") || name == "wte" || name == "wpe"
}

private func description(of layout: ModuleLayout, targets: [String]) -> JSONValue {
  let inputs: JSONValue =
    layout.inputs.map { inputs in
      var result = arguments(
        inputs.format, inputs.granularity, symmetric: inputs.symmetric, dynamic: inputs.dynamic)
      if let threshold = inputs.outlierThreshold {
        // Of our own layout alone.
        result["outlier_threshold"] = .number(JSONNumber(Double(threshold)))
      }
      if let name = inputs.scales.typeName {
        result["scale_dtype"] = .string(name)
        result["type"] = "float"
      }
      if inputs.scales == .e4m3 {
        (result["strategy"], result["dynamic"]) = ("tensor_group", "local")
      }
      return result
    } ?? .null
  return [
    "format": .string(layout.format),
    "input_activations": inputs,
    "output_activations": .null,
    "targets": .array(targets.map { .string($0) }),
    "weights": weightArguments(layout),
  ]
}

private func weightArguments(_ layout: ModuleLayout) -> JSONValue {
  let weights = layout.weights
  var result = arguments(
    weights.format, weights.granularity, symmetric: weights.symmetric, dynamic: false)
  if let name = weights.scales.typeName { result["scale_dtype"] = .string(name) }
  if layout.isPacked, weights.integers == nil {
    // In a layout of our own a name that says which floats.
    result["type"] = .string(weights.format.name)
  }
  if let floats = layout.floats {
    result["type"] = "float"
    result["strategy"] = .string(floats.strategy)
  }
  return result
}

private func arguments(
  _ format: any NumberFormat, _ granularity: Granularity, symmetric: Bool, dynamic: Bool
) -> JSONValue {
  var strategy = "tensor"
  var size = JSONValue.null
  switch granularity {
  case .tensor: break
  case .channel: strategy = "channel"
  case .token: strategy = "token"
  case .group(let count):
    strategy = "group"
    size = .number(JSONNumber(count))
  case .block: strategy = "block"
  }
  let type =
    switch format {
    case is IntegerFormat: "int"
    case let float as FloatFormat where float == .e4m3fn: "float"
    default: format.name
    }
  return [
    "dynamic": .bool(dynamic),
    "group_size": size,
    "num_bits": .number(JSONNumber(format.bits)),
    "strategy": .string(strategy),
    "symmetric": .bool(symmetric),
    "type": .string(type),
  ]
}
