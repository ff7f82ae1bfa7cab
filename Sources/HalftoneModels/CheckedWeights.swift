import HalftoneLayers
import HalftoneTensor

/// Reads tensors and refuses those whose shape is not what the configuration says.
struct CheckedWeights: Sendable {
  let source: any WeightSource

  /// The shape of `name`, if the source stores a tensor of that name, must be `expected`.
  func check(_ name: String, _ expected: [Int]) throws(ModelError) {
    guard let found = source.shape(of: name) else { return }
    try compare(name, found, expected)
  }

  private func compare(_ name: String, _ found: [Int], _ expected: [Int]) throws(ModelError) {
    guard found == expected else {
      throw ModelError(
        "\(name) has shape \(found), but config.json makes it \(expected); the two belong to "
          + "different models or one was edited")
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

  /// The linear module of `shape`, a dense weight as floats.
  func linear(_ shape: LinearShape, bias: Bool) throws -> Linear {
    var weight = try weight(shape)
    if case .dense(let tensor) = weight { weight = .dense(tensor.float()) }
    return Linear(
      name: shape.name, weight: weight,
      bias: bias ? try vector("\(shape.name).bias", shape.rows) : nil,
      inputs: try source.inputQuantizer(shape.name))
  }
}
