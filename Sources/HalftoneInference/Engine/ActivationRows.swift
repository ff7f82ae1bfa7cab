import CHalftoneKernels

/// One activation matrix [rows, columns] in all the forms that the layers it goes to want.
final class ActivationRows {
  let columns: Int
  private(set) var rows = 0
  private let floatRows = Scratch<Float>()
  private var forms: [FormRows] = []

  init(columns: Int) { self.columns = columns }

  /// Makes room for `rows` rows in `wanted` forms, which hold until the next call.
  func reserve(rows: Int, forms wanted: [InputForm]) {
    self.rows = rows
    floatRows.reserve(rows * columns)
    var kept: [FormRows] = []
    for form in wanted where form != .floats && !kept.contains(where: { $0.form == form }) {
      let rowsOfForm = forms.first { $0.form == form } ?? FormRows(form)
      rowsOfForm.reserve(rows: rows, columns: columns)
      kept.append(rowsOfForm)
    }
    forms = kept
  }

  /// Where row `row` is to be written before ``finish(row:)``.
  func row(_ row: Int) -> UnsafeMutablePointer<Float> { floatRows.base + row * columns }

  /// Brings a written row into every form.
  func finish(row: Int) {
    for form in forms { form.encode(self.row(row), row: row, columns: columns) }
  }

  func floats(_ form: InputForm) -> UnsafePointer<Float> {
    forms.first { $0.form == form }?.floatRows ?? UnsafePointer(floatRows.base)
  }

  func pairs(_ form: InputForm) -> UnsafePointer<UInt16> {
    guard let rows = forms.first(where: { $0.form == form }) else {
      preconditionFailure("inputs were not prepared as \(form)")
    }
    return rows.pairRows
  }

  func codes(_ form: InputForm) -> UnsafePointer<halftone_inputs> {
    guard let rows = forms.first(where: { $0.form == form }) else {
      preconditionFailure("inputs were not prepared as \(form)")
    }
    return rows.kernelInputs
  }

  /// The elements that a form of codes leaves out; nil where there are none.
  func outliers(_ form: InputForm) -> UnsafePointer<halftone_outliers>? {
    forms.first { $0.form == form }?.kernelOutliers
  }
}
