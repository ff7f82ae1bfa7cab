import Foundation
import HalftoneCheckpoints
import HalftoneSchemes
import HalftoneTensor
import Testing

/// What stands beside codes: written, read back to the same numbers, refused where it cannot be.
@Suite struct LayerAdditionsTests {
  private static let module = "model.layers.0.a"

  private func additions() throws -> LayerAdditions {
    LayerAdditions(
      bias: noise([10], seed: 8),
      lowRank: try LowRankFactors(
        left: noise([10, 3], seed: 9).converted(to: .float16),
        right: noise([3, 24], seed: 10).converted(to: .float16)),
      outliers: OutlierSet(positions: [0, 7, 239], values: [5, -6, 0.125]))
  }

  /// A checkpoint whose layer "a" has `additions`.
  private func written(
    _ additions: LayerAdditions, bits: Int, inputs: InputScheme?, _ scratch: ScratchDirectory,
    method: CompressedTensorsConfig.Method = .halftone
  ) throws -> (expected: QuantizedTensor, path: String) {
    let template = try CompressedTensorsTests.template(scratch)
    let scheme = try CompressedTensorsTests.scheme(bits, .channel, symmetric: true)
    let plain = try CompressedTensorsTests.quantized(template, Self.module, scheme)
    let weight = try QuantizedTensor(
      shape: plain.shape, format: plain.format, codes: plain.codes, levels: plain.levels,
      outliers: additions.outliers)
    let tensors = try additions.tensors().map { ("\(Self.module).\($0.suffix)", $0.tensor) }
    var options = CompressedTensorsWriter.Options()
    options.method = method
    options.configuration = ["attention_bias": .bool(true)]
    let writer = try CompressedTensorsWriter(
      output: scratch.path + "/out", template: template,
      modules: [.init(name: Self.module, weights: scheme, inputs: inputs)],
      additions: tensors.map {
        TensorDescription(name: $0, type: StoredType($1.elementType), shape: $1.shape)
      }, options: options)
    try writer.write(Self.module, weight)
    for (name, tensor) in tensors { try writer.add(name, tensor) }
    try writer.finish()
    return (weight, scratch.path + "/out")
  }

  @Test(arguments: [3, 8], [true, false]) func roundTrip(bits: Int, withInputs: Bool) throws {
    let scratch = try ScratchDirectory()
    let inputs =
      try withInputs
      ? InputScheme(
        format: IntegerFormat(bits: 8), granularity: .token, symmetric: true, dynamic: true) : nil
    let additions = try additions()
    let (expected, path) = try written(additions, bits: bits, inputs: inputs, scratch)
    let store = try Checkpoint(path: path)
    try CompressedTensorsTests.expectEqual(store.linearWeight(Self.module), expected)
    guard case .quantized(let weight) = try store.linearWeight(Self.module) else { return }
    #expect(weight.outliers == additions.outliers)
    let factors = try #require(try store.lowRank(Self.module))
    #expect(factors.left.bytes == additions.lowRank?.left.bytes)
    #expect(factors.right.bytes == additions.lowRank?.right.bytes)
    // The template's own bias gives way.
    #expect(try store.tensor(Self.module + ".bias").values == additions.bias?.values)
    #expect(store.config["attention_bias"] == .bool(true))
    #expect(store.isOwnFormat)
    #expect(try store.quantizedShape(Self.module) == [10, 24])
    #expect(try store.lowRank("model.layers.0.b") == nil)
    // What another tool would take for the weight has another shape.
    #expect(try store.storedType(of: Self.module + ".weight") == .int32)
    #expect(try store.shape(of: Self.module + ".weight") != [10, 24])
    #expect(!store.contains(Self.module + ".weight_packed"))
  }

  @Test func otherToolsGetNoOutliers() throws {
    let scratch = try ScratchDirectory()
    var outliers = try additions()
    (outliers.bias, outliers.lowRank) = (nil, nil)
    let error = #expect(throws: CheckpointError.self) {
      try written(outliers, bits: 4, inputs: nil, scratch, method: .compressedTensors)
    }
    #expect(error?.message.contains("no place for outliers") == true)
  }

  @Test func noOutliersAreNoTensors() throws {
    #expect(
      try LayerAdditions(outliers: OutlierSet(positions: [], values: [])).tensors().isEmpty)
  }

  // MARK: - Hostile files

  @Test func additionsThatDoNotFitAreRefused() throws {
    let (left, right) = (noise([10, 3], seed: 1), noise([3, 24], seed: 2))
    let infinite = Tensor([.infinity] + noise([29], seed: 3).values, shape: [10, 3])
    func positions(_ values: [Float]) -> Tensor { Tensor(values).converted(to: .int32) }
    let cases: [([String: Tensor], String)] = [
      (["bias": noise([9], seed: 1)], "bias [9]"),
      (["low_rank_left": left], "only one is there"),
      (["low_rank_left": left, "low_rank_right": noise([4, 24], seed: 1)], "have no product"),
      (["low_rank_left": left, "low_rank_right": noise([3, 23], seed: 1)], "no finite factors"),
      (["low_rank_left": infinite, "low_rank_right": right], "no finite factors"),
      (["outlier_values": Tensor([1])], "only one is there"),
      (["outlier_positions": positions([1, 2]), "outlier_values": Tensor([1])], "are not the"),
      (["outlier_positions": Tensor([1]), "outlier_values": Tensor([1])], "are not the"),
      (["outlier_positions": positions([1]), "outlier_values": Tensor([.nan])], "are not the"),
      (["outlier_positions": positions([240]), "outlier_values": Tensor([1])], "do not rise"),
      (["outlier_positions": positions([-1]), "outlier_values": Tensor([1])], "do not rise"),
      (
        ["outlier_positions": positions([5, 5]), "outlier_values": Tensor([1, 2])], "do not rise"
      ),
    ]
    for (tensors, words) in cases {
      let error = #expect(throws: SchemeError.self) {
        try LayerAdditions(rows: 10, columns: 24) { tensors[$0] }
      }
      #expect(error?.description.contains(words) == true, "\(String(describing: error))")
    }
  }
}
