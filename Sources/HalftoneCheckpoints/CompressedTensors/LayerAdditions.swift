public import HalftoneSchemes
public import HalftoneTensor

/// What a quantized layer holds besides codes, scales and zero points.
///
/// | tensor              | holds                                    | type, shape       |
/// | ------------------- | ---------------------------------------- | ----------------- |
/// | `bias`              | b                                        | F32 [out]         |
/// | `low_rank_left`     | A of Ŵ + A·B                             | F16 [out, rank]   |
/// | `low_rank_right`    | B                                        | F16 [rank, in]    |
/// | `outlier_positions` | row·in + column, rising                  | I32 [count]       |
/// | `outlier_values`    | what stands there instead of the code    | F32 [count]       |
public struct LayerAdditions: Sendable {
  public var bias: Tensor?
  public var lowRank: LowRankFactors?
  public var outliers: OutlierSet?

  public init(bias: Tensor? = nil, lowRank: LowRankFactors? = nil, outliers: OutlierSet? = nil) {
    self.bias = bias
    self.lowRank = lowRank
    self.outliers = outliers
  }

  /// The suffixes of what compressed-tensors has no place for.
  static let ownSuffixes = [
    "low_rank_left", "low_rank_right", "outlier_positions", "outlier_values",
  ]

  /// Whether compressed-tensors has no place for them.
  public var needOwnFormat: Bool { lowRank != nil || outliers != nil }

  /// The tensors by the suffixes of their names; an empty set of outliers needs none.
  ///
  /// - Throws: ``SchemeError`` for outliers of a matrix whose positions 32 bits do not count.
  public func tensors() throws(SchemeError) -> [(suffix: String, tensor: Tensor)] {
    var result: [(String, Tensor)] = []
    if let bias { result.append(("bias", bias)) }
    if let lowRank {
      result += [("low_rank_left", lowRank.left), ("low_rank_right", lowRank.right)]
    }
    if let outliers, !outliers.positions.isEmpty {
      guard let last = outliers.positions.last, last <= Int(Int32.max) else {
        throw SchemeError("outliers beyond element 2147483647 of a matrix cannot be stored")
      }
      let positions = Tensor(shape: [outliers.positions.count], elementType: .int32) { out in
        let out = out.bindMemory(to: Int32.self)
        for (i, position) in outliers.positions.enumerated() { out[i] = Int32(position) }
      }
      result += [("outlier_positions", positions), ("outlier_values", Tensor(outliers.values))]
    }
    return result
  }

  public func byteCount() throws(SchemeError) -> Int {
    try tensors().reduce(0) { $0 + $1.tensor.count * $1.tensor.elementType.byteCount }
  }

  /// Of a layer [rows, columns]; `tensor` gives the tensor of a suffix, nil where there is none.
  ///
  /// - Throws: ``SchemeError`` for tensors that do not fit the layer or each other.
  public init(
    rows: Int, columns: Int, tensor: (_ suffix: String) throws -> Tensor?
  ) throws {
    if let bias = try tensor("bias") {
      guard bias.shape == [rows] else {
        throw SchemeError("bias \(bias.shape) of a layer of \(rows) outputs")
      }
      self.bias = bias
    }
    switch (try tensor("low_rank_left"), try tensor("low_rank_right")) {
    case (nil, nil): break
    case (let left?, let right?):
      let factors = try LowRankFactors(left: left, right: right)
      guard factors.shape == [rows, columns], Self.areFinite(left), Self.areFinite(right) else {
        throw SchemeError(
          "low_rank_left \(left.shape) and low_rank_right \(right.shape) are no finite factors of a "
            + "matrix [\(rows), \(columns)]")
      }
      lowRank = factors
    default: throw SchemeError("of low_rank_left and low_rank_right only one is there")
    }
    switch (try tensor("outlier_positions"), try tensor("outlier_values")) {
    case (nil, nil): break
    case (let positions?, let values?):
      outliers = try Self.outliers(positions, values, count: rows * columns)
    default: throw SchemeError("of outlier_positions and outlier_values only one is there")
    }
  }

  private static func outliers(
    _ positions: Tensor, _ values: Tensor, count: Int
  ) throws(SchemeError) -> OutlierSet {
    guard positions.elementType == .int32, positions.shape.count == 1,
      positions.shape == values.shape, areFinite(values)
    else {
      throw SchemeError(
        "outlier_positions \(positions.shape) and outlier_values \(values.shape) are not the "
          + "positions and finite values of outliers")
    }
    let found = positions.withBytes { bytes in
      stride(from: 0, to: bytes.count, by: 4).map {
        Int(bytes.loadUnaligned(fromByteOffset: $0, as: Int32.self))
      }
    }
    guard (found.first ?? 0) >= 0, (found.last ?? 0) < max(1, count),
      zip(found, found.dropFirst()).allSatisfy({ $0 < $1 })
    else { throw SchemeError("outlier_positions do not rise within a matrix of \(count)") }
    return OutlierSet(positions: found, values: values.float().values)
  }

  private static func areFinite(_ tensor: Tensor) -> Bool {
    [.float32, .float16, .bfloat16].contains(tensor.elementType)
      && tensor.float().withElements { $0.allSatisfy(\.isFinite) }
  }
}

extension Checkpoint {
  public func lowRank(_ module: String) throws -> LowRankFactors? {
    guard ["low_rank_left", "low_rank_right"].contains(where: { contains("\(module).\($0)") })
    else { return nil }
    guard let shape = try quantizedShape(module) else {
      throw CheckpointError(
        .malformed, "\(path): \(module) holds low-rank factors, but no quantized weight")
    }
    return try additions(module, shape).lowRank
  }

  /// What the layer `module` [rows, columns] holds besides codes, scales and zero points; its bias is
  /// read with the model.
  func additions(_ module: String, _ shape: [Int]) throws -> LayerAdditions {
    do {
      return try LayerAdditions(rows: shape[0], columns: shape[1]) { suffix in
        let name = "\(module).\(suffix)"
        return suffix != "bias" && contains(name) ? try tensor(name) : nil
      }
    } catch let error as SchemeError {
      throw CheckpointError(.malformed, "\(path): \(module): \(error)")
    }
  }

  /// Whether its layers hold what only Halftone reads.
  public var isOwnFormat: Bool { (try? quantizationConfig())??.method == .halftone }
}
