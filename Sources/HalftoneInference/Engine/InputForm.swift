import CHalftoneKernels
import HalftoneLayers
import HalftoneSchemes
import HalftoneTensor

/// The grid on which a layer's inputs are rounded to integers.
enum InputGrid: Hashable, Sendable {
  /// A symmetric grid of eight bits for each run of so many columns of a row.
  case groups(Int)
  /// A grid for each row; elements from `outliers` on stay as they are.
  case token(bits: Int, symmetric: Bool, levels: LevelTable?, outliers: Float?)
  /// One grid for all rows.
  case fixed(ScaledGrid)
  /// A grid for each group of a row, with scales of eight bits.
  case scaled(GroupRounding)

  init(_ quantizer: InputQuantizer) {
    switch quantizer {
    case .dynamic(let scheme):
      self = .token(
        bits: scheme.format.bits, symmetric: scheme.symmetric, levels: scheme.format.levels,
        outliers: scheme.outlierThreshold)
    case .fixed(let step, let zero, let format, _):
      self = .fixed(
        ScaledGrid(
          scale: step.scalar, zero: zero, low: format.extent.low, high: format.extent.high,
          levels: format.levels))
    case .groups(_, let rounding): self = .scaled(rounding)
    }
  }

  /// Whether codes may stand for numbers shifted by a zero point.
  var hasZeros: Bool {
    switch self {
    case .groups: false
    case .token(_, let symmetric, let levels, _): !symmetric && levels == nil
    case .fixed(let grid): grid.zero != 0
    case .scaled: false
    }
  }

  /// Whether codes are whole numbers, which integer products need.
  var isUniform: Bool {
    switch self {
    case .groups: true
    case .token(_, _, let levels, _): levels == nil
    case .fixed(let grid): grid.levels == nil
    case .scaled: false
    }
  }

  /// Elements of this magnitude and more stay floats.
  var outliers: Float? {
    guard case .token(_, _, _, let outliers) = self else { return nil }
    return outliers
  }

  /// The grid of one row; not for groups, which have several.
  func grid(_ row: UnsafeBufferPointer<Float>) -> ScaledGrid {
    switch self {
    case .groups, .scaled: preconditionFailure("groups have a grid each")
    case .token(let bits, let symmetric, let levels, _):
      let range = Kernels.extrema(row)
      return ScaledGrid(
        covering: range.minimum, range.maximum, bits: bits, symmetric: symmetric, levels: levels)
    case .fixed(let grid): return grid
    }
  }
}

/// What a layer's product takes.
enum InputForm: Hashable, Sendable {
  case floats
  /// Floats rounded to a grid, for products without an integer kernel.
  case rounded(InputGrid)
  case bfloat16
  /// Integer codes.
  case codes(InputGrid)
}

/// The rows of one activation matrix in one form.
final class FormRows {
  let form: InputForm
  private let description = UnsafeMutablePointer<halftone_inputs>.allocate(capacity: 1)
  private let floats = Scratch<Float>()
  private let pairs = Scratch<UInt16>()
  private let codes = Scratch<Int8>()
  private let scales = Scratch<Float>()
  private let sums = Scratch<Int32>()
  private let zeros = Scratch<Float>()
  private let outliers: OutlierRows?

  init(_ form: InputForm) {
    self.form = form
    description.initialize(to: halftone_inputs())
    if case .codes(let grid) = form {
      outliers = grid.outliers.map(OutlierRows.init(from:))
    } else {
      outliers = nil
    }
  }

  deinit { description.deallocate() }

  /// The elements that are no codes, of forms that leave some out; valid as long as this object lives.
  var kernelOutliers: UnsafePointer<halftone_outliers>? { outliers?.kernelOutliers }

  /// The rows for the kernels, for forms of codes; valid as long as this object lives.
  var kernelInputs: UnsafePointer<halftone_inputs> { UnsafePointer(description) }
  private var inputs: halftone_inputs {
    get { description.pointee }
    set { description.pointee = newValue }
  }

  /// Floats of the rows, for forms that have them.
  var floatRows: UnsafePointer<Float> { UnsafePointer(floats.base) }

  /// The rows as bfloat16, for the form of that name.
  var pairRows: UnsafePointer<UInt16> { UnsafePointer(pairs.base) }

  /// Makes room for `rows` rows of `columns` elements.
  func reserve(rows: Int, columns: Int) {
    switch form {
    case .floats: break
    case .rounded: floats.reserve(rows * columns)
    case .bfloat16: pairs.reserve(rows * columns)
    case .codes(let grid):
      inputs.rows = rows
      inputs.columns = columns
      inputs.stride = (columns + 31) / 32 * 32
      inputs.group = columns
      if case .groups(let group) = grid { inputs.group = min(group, inputs.stride) }
      let groups = (columns + inputs.group - 1) / inputs.group
      inputs.codes = UnsafePointer(codes.reserve(rows * inputs.stride))
      inputs.scales = UnsafePointer(scales.reserve(rows * groups))
      inputs.sums = UnsafePointer(sums.reserve(rows * inputs.stride / 16))
      inputs.zeros = grid.hasZeros ? UnsafePointer(zeros.reserve(rows)) : nil
      outliers?.reserve(rows: rows, columns: columns)
    }
  }

  /// Writes row `row` from the floats at `x`.
  func encode(_ x: UnsafePointer<Float>, row: Int, columns: Int) {
    let elements = UnsafeBufferPointer(start: x, count: columns)
    switch form {
    case .floats: break
    case .bfloat16: RowKernels.set.f32_to_bf16(x, pairs.base + row * columns, columns)
    case .rounded(.groups): preconditionFailure("groups are for integer products")
    case .rounded(let grid):
      let out = UnsafeMutableBufferPointer(start: floats.base + row * columns, count: columns)
      if case .token(let bits, let symmetric, let levels, let outliers?) = grid {
        Kernels.roundTrip(
          elements, bits: bits, symmetric: symmetric, levels: levels, keepingFrom: outliers, out)
      } else if case .scaled(let rounding) = grid {
        rounding.round(elements, out)
      } else {
        Kernels.roundTrip(elements, grid.grid(elements), out)
      }
    case .codes(let grid):
      encode(outliers?.take(from: elements, row: row) ?? elements, row: row, on: grid)
    }
  }

  private func encode(_ x: UnsafeBufferPointer<Float>, row: Int, on grid: InputGrid) {
    guard let from = x.baseAddress else { return }
    let stride = inputs.stride
    let rowCodes = codes.base + row * stride
    let rowSums = sums.base + row * stride / 16
    if case .groups = grid {
      let groups = (x.count + inputs.group - 1) / inputs.group
      return ProductKernels.set.quantize_inputs(
        from, x.count, inputs.group, rowCodes, stride, scales.base + row * groups, rowSums)
    }
    let rowGrid = grid.grid(x)
    Kernels.quantize(x, rowGrid, UnsafeMutableBufferPointer(start: rowCodes, count: x.count))
    (rowCodes + x.count).update(repeating: 0, count: stride - x.count)
    ProductKernels.set.sum_codes(rowCodes, stride, rowSums)
    scales.base[row] = rowGrid.scale
    zeros.base[grid.hasZeros ? row : 0] = rowGrid.zero
  }
}

/// The kernels of this machine.
enum ProductKernels {
  nonisolated(unsafe) static let set = halftone_products_best().pointee
}
