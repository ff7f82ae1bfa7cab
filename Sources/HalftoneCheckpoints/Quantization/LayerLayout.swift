package import HalftoneSchemes
import HalftoneTensor

/// The tensors that stand for one quantized layer in the files of some tool.
package protocol LayerLayout: Sendable {
  var module: String { get }
  /// What the file will hold of it.
  var tensors: [TensorDescription] { get }

  /// Adds what storing `weight` so loses.
  ///
  /// - Throws: ``SchemeError`` that says why that cannot be.
  func check(_ weight: QuantizedTensor, _ loss: inout RoundingLoss) throws

  /// Hands the bytes of every tensor in ``tensors`` to `write`.
  func encode(
    _ weight: QuantizedTensor, _ write: (String, UnsafeRawBufferPointer) throws -> Void
  ) throws
}

/// Integer codes and the numbers of their grids, one cell for each row and group of columns.
struct CodeTable {
  /// [rows, columns] I8, counted from the middle.
  let codes: Tensor
  /// [rows, groups].
  let scales: Tensor
  /// Counted from the middle of the codes, shaped as the scales.
  let zeros: Tensor

  /// The codes of `weight` with the cells of its table repeated for groups of `group` columns.
  ///
  /// - Throws: ``CheckpointError`` naming `module` where groups of that width cross those it has.
  init(_ weight: QuantizedTensor, group: Int, module: String) throws {
    let (rows, columns) = (weight.shape[0], weight.shape[1])
    let table = weight.levels[0]
    guard weight.levels.count == 1, weight.format is IntegerFormat, columns % group == 0,
      columns / table.columns % group == 0
    else {
      throw CheckpointError(
        .malformed,
        "\(module): \(weight.format.name) with scales \(table.shape) in groups of \(group)")
    }
    codes = weight.codes
    let (height, perCell) = (rows / table.rows, columns / table.columns / group)
    let groups = columns / group
    func repeated(_ cells: [Float]) -> Tensor {
      Tensor(shape: [rows, groups]) { out in
        for i in 0..<rows {
          for j in 0..<groups {
            out[i * groups + j] = cells[i / height * table.columns + j / perCell]
          }
        }
      }
    }
    scales = repeated(table.values)
    zeros =
      weight.zeroPoints.map { repeated($0.values) } ?? Tensor(repeating: 0, shape: [rows, groups])
  }
}

/// What storing a layer's scales or offsets in fewer bits changes.
public struct RoundingLoss: Sendable, Equatable {
  /// The largest change of a number by the number.
  public var relative: Double = 0

  public init() {}

  /// Notes what `numbers` lose in `type`.
  ///
  /// - Throws: ``SchemeError`` for a number that `type` does not reach, or one that becomes 0.
  mutating func add(_ numbers: Tensor, _ type: ElementType) throws(SchemeError) {
    guard type != .float32 else { return }
    for (number, stored) in zip(numbers.values, numbers.converted(to: type).float().values)
    where stored != number {
      guard stored.isFinite, stored != 0 else {
        throw SchemeError("\(number) is out of the range of \(type.rawValue)")
      }
      relative = max(relative, abs(Double(stored) / Double(number) - 1))
    }
  }
}
