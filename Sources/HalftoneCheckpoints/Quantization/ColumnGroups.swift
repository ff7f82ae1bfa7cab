public import HalftoneSchemes
import HalftoneTensor

/// Which columns of a matrix share a scale where they are not runs of neighbours, as files have it whose
/// groups were formed in the order of activations (`g_idx` of GPTQ, `weight_g_idx` of compressed-tensors).
public struct ColumnGroups: Sendable, Equatable {
  /// The group of each column.
  public let groups: [Int]
  /// The columns of the first group, those of the second, and so on; in each as they stand in the matrix.
  public let columns: [Int]

  /// Groups of as many columns each.
  ///
  /// - Throws: ``SchemeError`` where groups differ in size.
  public init(_ groups: [Int], count: Int) throws(SchemeError) {
    var members = [[Int]](repeating: [], count: count)
    for (column, group) in groups.enumerated() { members[group].append(column) }
    let size = groups.count / count
    if let group = members.firstIndex(where: { $0.count != size }) {
      throw SchemeError(
        "its groups differ in size: group \(group) has \(members[group].count) columns, not \(size)"
      )
    }
    self.groups = groups
    columns = members.flatMap { $0 }
  }

  /// The matrix `codes` I8 with the columns of a group side by side.
  func gathered(_ codes: Tensor) -> Tensor { permuted(codes) { ($0, $1) } }

  /// The inverse of ``gathered(_:)``.
  func scattered(_ codes: Tensor) -> Tensor { permuted(codes) { ($1, $0) } }

  /// `ends` gives, of a column of the matrix and its place among the groups, source and target.
  private func permuted(_ codes: Tensor, _ ends: (Int, Int) -> (from: Int, to: Int)) -> Tensor {
    let width = columns.count
    let moves = columns.enumerated().map { place, column in ends(column, place) }
    return Tensor(shape: codes.shape, elementType: .int8) { out in
      codes.withBytes { bytes in
        for start in stride(from: 0, to: bytes.count, by: width) {
          for move in moves { out[start + move.to] = bytes[start + move.from] }
        }
      }
    }
  }
}

/// A weight whose groups are not runs of neighbouring columns.
public struct ReorderedWeight: Sendable {
  /// With the columns of each group side by side.
  public let weight: QuantizedTensor
  /// Where these columns are in the file.
  public let order: ColumnGroups
}

/// Integer codes as a file holds them, with the group of each column.
struct GroupedCodes {
  let format: IntegerFormat
  /// [rows, columns] I8.
  let codes: Tensor
  /// [rows, groups].
  let scales: Tensor
  /// Shaped as the scales; nil where all are 0.
  let zeros: Tensor?
  /// nil where groups are runs of neighbours.
  let order: [Int]?

  /// In codes where groups are runs of neighbours, as numbers elsewhere.
  func weight() throws(SchemeError) -> StoredWeight {
    guard let order else { return .quantized(try quantized(codes)) }
    return .dense(dense(order))
  }

  /// nil where groups are runs of neighbours.
  ///
  /// - Throws: ``SchemeError`` where groups differ in size.
  func reordered() throws(SchemeError) -> ReorderedWeight? {
    guard let order else { return nil }
    let groups = try ColumnGroups(order, count: scales.columns)
    return ReorderedWeight(
      weight: try quantized(groups.gathered(codes)), order: groups)
  }

  private func quantized(_ codes: Tensor) throws(SchemeError) -> QuantizedTensor {
    try QuantizedTensor(
      shape: codes.shape, format: format, codes: codes, levels: [scales], zeroPoints: zeros)
  }

  /// (code − zero) · scale, element by element.
  private func dense(_ order: [Int]) -> Tensor {
    let (columns, groups) = (codes.columns, scales.columns)
    let zeros = zeros ?? Tensor(repeating: 0, shape: scales.shape)
    return codes.withBytes { bytes in
      scales.withElements { scales in
        zeros.withElements { zeros in
          Tensor(shape: codes.shape) { out in
            parallelRanges(codes.rows, grain: max(1, (1 << 15) / columns)) { rows in
              for i in rows {
                for j in 0..<columns {
                  let cell = i * groups + order[j]
                  let code = Float(Int8(bitPattern: bytes[i * columns + j]))
                  out[i * columns + j] = (code - zeros[cell]) * scales[cell]
                }
              }
            }
          }
        }
      }
    }
  }
}

extension Checkpoint {
  /// The codes of the layer `module` where its groups are not runs of neighbouring columns, else nil.
  ///
  /// ``linearWeight(_:)`` gives such a layer as numbers.
  ///
  /// - Throws: ``SchemeError`` where groups differ in size; what reading throws.
  public func reorderedWeight(_ module: String) throws -> ReorderedWeight? {
    guard try hasReorderedGroups(module) else { return nil }
    switch try quantization() {
    case .gptq(let config): return try gptqCodes(module, config)?.reordered()
    case .compressedTensors: return try compressedCodes(module)?.reordered()
    case .none, .awq, .mlx: return nil
    }
  }

  /// Whether groups of the quantized layer `module` are not runs of neighbouring columns, as after
  /// activation ordering; such a weight is read as dense.
  public func hasReorderedGroups(_ module: String) throws -> Bool {
    let shape = try quantizedShape(module)
    guard let shape else { return false }
    switch try quantization() {
    case .gptq(let config):
      return try groupOrder(module, config, columns: shape[1]) != nil
    case .compressedTensors:
      guard case .group(let size) = try compressedScheme(module)?.weights?.granularity,
        shape[1] % size == 0
      else { return false }
      return try groupOrder(module + ".weight_g_idx", columns: shape[1], groups: shape[1] / size)
        != nil
    case .none, .awq, .mlx: return false
    }
  }

  /// The group of each column where groups are not runs of neighbours; nil where they are, or where there
  /// is no tensor `name`.
  func groupOrder(_ name: String, columns: Int, groups: Int) throws -> [Int]? {
    guard contains(name) else { return nil }
    let stored = try description(of: name)
    guard stored.type == .int32, stored.shape == [columns] else {
      throw CheckpointError(
        .malformed,
        "\(path): \(name) is \(stored.type.rawValue) \(stored.shape), not the groups I32 "
          + "[\(columns)]; fetch the file again")
    }
    let order = try withBytes(of: name) { bytes in
      (0..<columns).map { Int(bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Int32.self)) }
    }
    // What compressed-tensors fills it with before groups are known.
    if order.allSatisfy({ $0 == -1 }) { return nil }
    if let other = order.first(where: { !(0..<groups).contains($0) }) {
      throw CheckpointError(
        .malformed,
        "\(path): \(name) names group \(other), but there are \(groups); correct group_size in "
          + "quantization_config, or fetch the file again")
    }
    let size = columns / groups
    return order.indices.allSatisfy { order[$0] == $0 / size } ? nil : order
  }
}
