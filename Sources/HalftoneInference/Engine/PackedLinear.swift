package import HalftoneLayers
import HalftoneSchemes
package import HalftoneTensor

/// A linear layer in the layout of the kernels.
package final class PackedLinear: Sendable {
  enum Weight: Sendable {
    case codes(PackedMatrix)
    /// Codes that stand for floats.
    case levels(LevelMatrix)
    /// Codes of two levels of scales, for integer sums over whole rows.
    case dual(DualMatrix)
    case dense(DenseMatrix)
    case pairs(BFloat16Matrix)
  }

  let weight: Weight
  let form: InputForm
  let bias: Tensor?
  let rows: Int
  let columns: Int

  /// Columns that share a grid where inputs are rounded only for speed.
  private static let inputGroup = 256

  package convenience init(_ linear: Linear, inputs: EngineOptions.Inputs) {
    // Factors are small beside the codes, but not free: two more products a layer and token.
    let weight: LinearWeight =
      linear.lowRank == nil ? linear.weight : .dense(linear.effectiveWeight())
    self.init(
      weight, bias: linear.bias, quantizer: linear.inputs.map(InputGrid.init), inputs: inputs)
  }

  init(
    _ weight: LinearWeight, bias: Tensor?, quantizer: InputGrid?, inputs: EngineOptions.Inputs
  ) {
    rows = weight.shape[0]
    columns = weight.shape[1]
    self.bias = bias
    let fast = inputs == .int8 ? InputForm.codes(.groups(Self.inputGroup)) : .floats
    switch weight {
    case .dense(let tensor) where Self.multipliesPairs(tensor, quantizer, inputs):
      self.weight = .pairs(BFloat16Matrix(tensor))
      form = .bfloat16
      return
    case .quantized(let tensor):
      (self.weight, form) = Self.packed(tensor, quantizer, otherwise: fast)
      return
    case .blocks(let blocks) where quantizer?.isUniform ?? true:
      let packed = blocks.packed()
      blocks.bytes.evict()
      self.weight = .codes(packed)
      form = quantizer.map { .codes($0) } ?? fast
      return
    case .blocks(let blocks): self.weight = .dense(DenseMatrix(blocks.dequantized()))
    case .dense(let tensor): self.weight = .dense(DenseMatrix(tensor))
    }
    form = quantizer.map { .rounded($0) } ?? .floats
  }

  /// Codes for integer products where these give what the checkpoint means, else codes for float inputs; floats
  /// where no kernel takes the codes.
  private static func packed(
    _ tensor: QuantizedTensor, _ quantizer: InputGrid?, otherwise fast: InputForm
  ) -> (Weight, InputForm) {
    if let quantizer, quantizer.isUniform, quantizer.outliers == nil, let dual = DualMatrix(tensor)
    {
      return (.dual(dual), .codes(quantizer))
    }
    // Where inputs stay floats, so do what codes of three bits and more are looked up as.
    let isTable = tensor.format.levels != nil && tensor.format.bits > 2
    let wantsIntegers = quantizer?.isUniform ?? (fast != .floats || !isTable)
    if wantsIntegers, let packed = tensor.packed(withRowSums: quantizer?.hasZeros ?? false) {
      return (.codes(packed), quantizer.map { .codes($0) } ?? fast)
    }
    let form = quantizer.map { InputForm.rounded($0) } ?? .floats
    if let levels = tensor.levelMatrix() { return (.levels(levels), form) }
    return (.dense(DenseMatrix(tensor.dequantized())), form)
  }

  /// Whether the processor multiplies the weight's bfloat16 numbers as they are.
  private static func multipliesPairs(
    _ weight: Tensor, _ quantizer: InputGrid?, _ inputs: EngineOptions.Inputs
  ) -> Bool {
    weight.elementType == .bfloat16 && quantizer == nil && inputs == .int8
      && AttentionKernels.multipliesBFloat16
  }

  /// The bytes that the weight takes in memory.
  package var byteCount: Int {
    switch weight {
    case .pairs(let matrix): matrix.byteCount
    case .codes(let matrix): matrix.byteCount
    case .levels(let matrix): matrix.byteCount
    case .dual(let matrix): matrix.byteCount
    case .dense(let matrix): matrix.byteCount
    }
  }

  var panels: Int { (rows + 15) / 16 }

  /// The whole product of `inputs`, to be cut into pieces.
  func task(_ inputs: ActivationRows, _ out: UnsafeMutablePointer<Float>) -> ProductTask {
    let weight: ProductTask.Weight =
      switch weight {
      case .codes(let matrix):
        if case .codes = form {
          .codes(matrix.kernelMatrix, inputs.codes(form), inputs.outliers(form))
        } else {
          .floats(matrix.kernelMatrix, inputs.floats(form))
        }
      case .levels(let matrix): .levels(matrix.kernelMatrix, inputs.floats(form))
      case .dual(let matrix): .dual(matrix.kernelMatrix, inputs.codes(form))
      case .dense(let matrix): .dense(matrix.kernelMatrix, inputs.floats(form))
      case .pairs(let matrix): .pairs(matrix.elements, inputs.pairs(form))
      }
    return ProductTask(
      weight: weight, inputRows: inputs.rows, inputColumns: columns, out: out, outputs: rows)
  }

  /// The panels that are worth handing to a thread.
  func smallestPiece(inputRows: Int) -> Int {
    guard inputRows < 5 else { return 8 }
    let panelBytes = max(1, byteCount / panels)
    return max(1, (1 << 15) / panelBytes)
  }

  /// The outputs for x [tokens, columns], without the bias, as a pass computes them.
  package func callAsFunction(_ x: Tensor) -> Tensor {
    let inputs = ActivationRows(columns: columns)
    inputs.reserve(rows: x.rows, forms: [form])
    x.withElements { elements in
      for row in 0..<x.rows {
        for j in 0..<columns { inputs.row(row)[j] = elements[row * columns + j] }
        inputs.finish(row: row)
      }
    }
    return Tensor(shape: [x.rows, rows]) { out in
      guard let to = out.baseAddress else { return }
      var tasks: [ProductTask] = []
      var left = panels
      task(inputs, to).cut(
        totalPanels: panels, smallest: 8, threads: 2, panelsLeft: &left, into: &tasks)
      for task in tasks { task.run() }
    }
  }
}
