import CHalftoneKernels

/// One thread's piece of a product.
///
/// It holds no references, so that handing it out counts none.
struct ProductTask {
  enum Weight {
    /// Outliers are added by a product of floats.
    case codes(
      UnsafePointer<halftone_matrix>, UnsafePointer<halftone_inputs>,
      UnsafePointer<halftone_outliers>?)
    case floats(UnsafePointer<halftone_matrix>, UnsafePointer<Float>)
    case levels(UnsafePointer<halftone_level_matrix>, UnsafePointer<Float>)
    case dual(UnsafePointer<halftone_dual_matrix>, UnsafePointer<halftone_inputs>)
    case dense(UnsafePointer<halftone_dense_matrix>, UnsafePointer<Float>)
    case pairs(UnsafePointer<UInt16>, UnsafePointer<UInt16>)
  }

  let weight: Weight
  let inputRows: Int
  let inputColumns: Int
  /// [inputRows, outputs].
  let out: UnsafeMutablePointer<Float>
  let outputs: Int
  var firstPanel = 0
  var panels = 0

  /// Writes the outputs of its panels; the bias is not added.
  func run() {
    let set = halftone_products_best()
    switch weight {
    case .codes(let matrix, let inputs, let outliers):
      set?.pointee.product(inputs, matrix, firstPanel, panels, out, outputs)
      if let outliers {
        set?.pointee.outlier_product(outliers, matrix, firstPanel, panels, out, outputs)
      }
    case .levels(let matrix, let x):
      set?.pointee.level_product(
        x, inputColumns, inputRows, matrix, firstPanel, panels, out, outputs)
    case .dual(let matrix, let inputs):
      set?.pointee.dual_product(inputs, matrix, firstPanel, panels, out, outputs)
    case .floats(let matrix, let x):
      set?.pointee.float_product(
        x, inputColumns, inputRows, matrix, firstPanel, panels, out, outputs)
    case .dense(let matrix, let x):
      set?.pointee.dense_product(
        x, inputColumns, inputRows, matrix, firstPanel, panels, out, outputs)
    case .pairs(let packed, let x):
      AttentionKernels.set.bf16_product(
        x, inputColumns, inputRows, packed, outputs, inputColumns, firstPanel, panels, out, outputs,
        0)
    }
  }

  /// Appends this product to `tasks` in pieces: eight panels for many rows, whose outputs then stay in
  /// the cache; for few rows long runs through memory that shrink towards the end of `panelsLeft`, so
  /// that all threads finish at about the same time.
  func cut(
    totalPanels: Int, smallest: Int, threads: Int, panelsLeft: inout Int,
    into tasks: inout [ProductTask]
  ) {
    var first = 0
    while first < totalPanels {
      let share = inputRows < 5 ? panelsLeft / (2 * threads) : smallest
      var task = self
      task.firstPanel = first
      task.panels = min(max(share, smallest), totalPanels - first)
      tasks.append(task)
      first += task.panels
      panelsLeft -= task.panels
    }
  }
}
