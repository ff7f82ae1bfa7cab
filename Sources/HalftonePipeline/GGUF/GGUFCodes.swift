import HalftoneSchemes
import HalftoneTensor

/// The codes of a quantized matrix as GGUF blocks, unchanged; only scales are rounded to halves.
struct GGUFCodes {
  let matrix: BlockMatrix

  /// The smallest type whose blocks hold codes of `scheme`; nil if none does.
  ///
  /// Groups are whole numbers of 32 columns, so a channel's scale is repeated. Codes around zero go
  /// to Q4_0, Q5_0 or Q8_0. With zero points they go to Q4_1 or Q5_1, whose minimum is −zero·scale;
  /// code − zero of 6 and 7 bits is a code of Q8_0, that of 8 bits is not.
  static func type(for scheme: WeightScheme, columns: Int) -> BlockType? {
    guard columns % 32 == 0, scheme.integers != nil, [.float, .e8m0].contains(scheme.scales)
    else { return nil }
    switch scheme.granularity {
    case .tensor, .channel: break
    case .group(let size): guard size % 32 == 0 else { return nil }
    case .block(_, let width): guard width % 32 == 0 else { return nil }
    case .token: return nil
    }
    switch (scheme.format.bits, scheme.symmetric) {
    case (...4, true): return .q40
    case (...4, false): return .q41
    case (5, true): return .q50
    case (5, false): return .q51
    case (8, false): return nil
    default: return .q80
    }
  }

  /// The rows of `weight` as a file in `order` stores them.
  ///
  /// - Throws: ``SchemeError`` for what ``type(for:columns:)`` does not name.
  init(_ weight: QuantizedTensor, as type: BlockType, _ order: RowOrder) throws(SchemeError) {
    guard weight.levels.count == 1, weight.outliers == nil,
      case .uniform(let low, _) = weight.format.values
    else { throw SchemeError("a matrix of \(weight.format.name) has no GGUF blocks") }
    let (rows, columns) = (weight.shape[0], weight.shape[1])
    let table = weight.levels[0]
    let (height, width) = (rows / table.rows, columns / table.columns)
    guard width % 32 == 0 else { throw SchemeError("groups of \(width) are no multiple of 32") }
    let (scales, zeros) = (table.values, weight.zeroPoints?.values)
    let stored = weight.codes.withBytes { Array($0.bindMemory(to: Int8.self)) }
    let hasMinima = type == .q41 || type == .q51
    let center = [BlockType.q40: 8, .q50: 16, .q80: 128][type] ?? 0
    var codes: [UInt8] = []
    codes.reserveCapacity(rows * columns)
    let top = [BlockType.q50: 31, .q51: 31, .q80: 255][type] ?? 15
    var (steps, minima): ([Float], [Float]) = ([], [])
    for place in 0..<rows {
      let row = order.row(storedAt: place)
      for column in stride(from: 0, to: columns, by: 32) {
        let cell = row / height * table.columns + column / width
        let (scale, zero) = (scales[cell], zeros?[cell] ?? 0)
        steps.append(scale)
        // Codes with minima count from the lowest, the others around the type's own zero.
        let shift = hasMinima ? -low : center - Int(zero)
        if hasMinima { minima.append((Float(low) - zero) * scale) }
        for j in column..<column + 32 {
          let code = Int(stored[row * columns + j]) + shift
          guard (0...top).contains(code) else {
            throw SchemeError("code \(code) does not fit \(type.name)")
          }
          codes.append(UInt8(code))
        }
      }
    }
    matrix = try BlockMatrix(
      joining: codes, scales: Self.halves(steps), minima: hasMinima ? Self.halves(minima) : nil,
      shape: weight.shape, type: type)
  }

  /// The bits of the nearest halves.
  private static func halves(_ values: [Float]) -> [UInt16] {
    Tensor(values).converted(to: .float16).withBytes { Array($0.bindMemory(to: UInt16.self)) }
  }
}
