import HalftoneLayers
import HalftoneTensor

/// Reads tensors and refuses those whose shape is not what the configuration says.
struct CheckedWeights: Sendable {
  let source: any WeightSource

  /// Every tensor that `configuration` asks for must be there in its shape, and no further block.
  func check(_ configuration: LlamaConfiguration) throws(ModelError) {
    let names = Set(source.names)
    for tensor in configuration.outerTensors { try check(tensor, names) }
    for index in 0..<configuration.blockCount {
      for tensor in configuration.tensors(ofBlock: index) { try check(tensor, names) }
    }
    let prefix = "model.layers."
    let count = configuration.blockCount
    for name in source.names where name.hasPrefix(prefix) {
      let number = name.dropFirst(prefix.count).prefix { $0 != "." }
      guard let index = Int(number), index >= count else { continue }
      throw ModelError(
        "config.json: num_hidden_layers is \(count), but the checkpoint has \(name); expected are "
          + "layers 0 to \(count - 1); restore the model's own config.json")
    }
  }

  private func check(_ tensor: ExpectedTensor, _ names: Set<String>) throws(ModelError) {
    if let found = source.shape(of: tensor.name) {
      return try compare(tensor.name, found, tensor.shape)
    }
    // A packed weight whose shape cannot be read is refused with the reason when it is read.
    let packed = [tensor.name, tensor.name + "_packed"]
    let module = tensor.name.hasSuffix(".weight") ? String(tensor.name.dropLast(7)) : nil
    guard !packed.contains(where: names.contains),
      !(module.map { names.contains($0 + ".qweight") } ?? false)
    else { return }
    throw ModelError(
      "config.json: \(tensor.reason) asks for \(tensor.name) of shape \(tensor.shape), but the "
        + "checkpoint has no such tensor; restore the model's own config.json, or the weights")
  }

  private func compare(_ name: String, _ found: [Int], _ expected: [Int]) throws(ModelError) {
    guard found == expected else {
      throw ModelError(
        "\(name) has shape \(found), but config.json makes it \(expected); the two belong to "
          + "different models or one was edited; restore the model's own config.json")
    }
  }

  /// A vector of `count` floats.
  func vector(_ name: String, _ count: Int) throws -> Tensor {
    let tensor = try source.tensor(name)
    try compare(name, tensor.shape, [count])
    return tensor.float()
  }

  /// The weight of the module of `shape`, in its stored type.
  func weight(_ shape: LinearShape) throws -> LinearWeight {
    let weight = try source.linearWeight(shape.name)
    try compare("\(shape.name).weight", weight.shape, [shape.rows, shape.columns])
    return weight
  }

  /// The linear module of `shape`, a dense weight in its stored type.
  func linear(_ shape: LinearShape, bias: Bias) throws -> Linear {
    let weight = try weight(shape)
    let name = "\(shape.name).bias"
    let hasBias = bias == .required || bias == .optional && source.shape(of: name) != nil
    let linear = Linear(
      name: shape.name, weight: weight, bias: hasBias ? try vector(name, shape.rows) : nil,
      inputs: try source.inputQuantizer(shape.name), lowRank: try source.lowRank(shape.name))
    if let factors = linear.lowRankShape {
      try compare("\(shape.name).low_rank", factors, [shape.rows, shape.columns])
    }
    return linear
  }

  /// Where the attention layer `module` rounds keys and values.
  func cacheGrids(_ module: String, keyHeads: Int) throws -> CacheGrids? {
    guard let grids = try source.cacheGrids(module) else { return nil }
    for scales in [grids.keys, grids.values] where ![1, keyHeads].contains(scales.count) {
      throw ModelError(
        "\(module) has \(scales.count) scales of keys or values, but config.json says \(keyHeads) key "
          + "heads; restore the model's own config.json")
    }
    return grids
  }

  /// Whether a linear layer has a bias.
  enum Bias {
    case none, optional, required
  }
}
