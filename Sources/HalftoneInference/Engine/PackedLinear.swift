import CHalftoneKernels
package import HalftoneLayers
import HalftoneSchemes
package import HalftoneTensor

/// A linear layer in the layout of the kernels.
package struct PackedLinear: @unchecked Sendable {
  enum Weight: @unchecked Sendable {
    case codes(PackedMatrix, halftone_matrix)
    case dense(DenseMatrix, halftone_dense_matrix)
  }

  let weight: Weight
  let form: InputForm
  let bias: Tensor?
  let rows: Int
  let columns: Int

  /// Columns that share a grid where inputs are rounded only for speed.
  private static let inputGroup = 256

  package init(_ linear: Linear, inputs: EngineOptions.Inputs) {
    self.init(
      linear.weight, bias: linear.bias, quantizer: linear.inputs.map(InputGrid.init),
      inputs: inputs)
  }

  init(
    _ weight: LinearWeight, bias: Tensor?, quantizer: InputGrid?, inputs: EngineOptions.Inputs
  ) {
    rows = weight.shape[0]
    columns = weight.shape[1]
    self.bias = bias
    let fast = inputs == .int8 ? InputForm.codes(.groups(Self.inputGroup)) : .floats
    switch weight {
    case .quantized(let tensor):
      if let packed = tensor.packed(withRowSums: quantizer?.hasZeros ?? false) {
        self.weight = .codes(packed, packed.kernelMatrix)
        form = quantizer.map { .codes($0) } ?? fast
        return
      }
      let dense = DenseMatrix(tensor.dequantized())
      self.weight = .dense(dense, dense.kernelMatrix)
    case .blocks(let blocks):
      let packed = blocks.packed()
      blocks.bytes.evict()
      self.weight = .codes(packed, packed.kernelMatrix)
      form =
        quantizer.map { .codes($0) }
        ?? (inputs == .float ? .floats : .codes(.groups(Self.inputGroup)))
      return
    case .dense(let tensor):
      let dense = DenseMatrix(tensor)
      self.weight = .dense(dense, dense.kernelMatrix)
    }
    form = quantizer.map { .rounded($0) } ?? .floats
  }

  var byteCount: Int {
    switch weight {
    case .codes(let matrix, _): matrix.byteCount
    case .dense(let matrix, _): matrix.byteCount
    }
  }

  private var panels: Int { (rows + 15) / 16 }

  /// Panels that one thread takes at a time: enough work to be worth handing out.
  private func chunk(inputRows: Int) -> Int {
    guard inputRows < 5 else { return 4 }
    let panelBytes = max(1, byteCount / panels)
    return max(2, (1 << 16) / panelBytes / 2 * 2)
  }

  func taskCount(inputRows: Int) -> Int {
    let chunk = chunk(inputRows: inputRows)
    return (panels + chunk - 1) / chunk
  }

  /// Writes the outputs of task `task`; the bias is not added.
  func run(task: Int, _ inputs: ActivationRows, _ out: UnsafeMutablePointer<Float>) {
    let chunk = chunk(inputRows: inputs.rows)
    let first = task * chunk
    let count = min(chunk, panels - first)
    let set = ProductKernels.set
    switch weight {
    case .codes(_, let matrix):
      withUnsafePointer(to: matrix) { matrix in
        if case .codes = form {
          withUnsafePointer(to: inputs.codes(form)) {
            set.product($0, matrix, first, count, out, rows)
          }
        } else {
          set.float_product(
            inputs.floats(form), columns, inputs.rows, matrix, first, count, out, rows)
        }
      }
    case .dense(_, let matrix):
      withUnsafePointer(to: matrix) {
        set.dense_product(inputs.floats(form), columns, inputs.rows, $0, first, count, out, rows)
      }
    }
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
      for task in 0..<taskCount(inputRows: x.rows) { run(task: task, inputs, to) }
    }
  }
}
