public import CHalftoneKernels
import HalftoneTensor

/// A weight matrix in the layout that the integer kernels read; HalftoneProducts.h describes it.
///
/// value(i, j) = scale(i, j) · (table[code] − zero) + minimum(i, j), one scale and minimum for each
/// run of `group` columns of a row.
public final class PackedMatrix: @unchecked Sendable {
  /// What a matrix of codes consists of.
  public struct Layout: Sendable, Equatable {
    public var rows: Int
    public var columns: Int
    /// 2, 3, 4, 5, 6 or 8.
    public var bits: Int
    /// Subtracted from every value, 0...255.
    public var zero: Int
    /// What each of the sixteen 4-bit codes stands for before the zero is subtracted.
    public var table: [UInt8]?
    /// Columns per scale, 16 or a multiple of 32; at least `columns` for one scale a row.
    public var group: Int
    public var scaleType: ScaleType
    public var hasMinima: Bool
    /// Whether the sum of each row is kept, which inputs with zero points need.
    public var hasRowSums: Bool

    public init(
      rows: Int, columns: Int, bits: Int, zero: Int, table: [UInt8]? = nil, group: Int,
      scaleType: ScaleType, hasMinima: Bool = false, hasRowSums: Bool = false
    ) {
      self.rows = rows
      self.columns = columns
      self.bits = bits
      self.zero = zero
      self.table = table
      self.group = group
      self.scaleType = scaleType
      self.hasMinima = hasMinima
      self.hasRowSums = hasRowSums
    }

    public var panels: Int { (rows + 15) / 16 }
    /// Columns with their padding.
    public var stride: Int { (columns + 31) / 32 * 32 }
    public var groups: Int { group >= columns ? 1 : (columns + group - 1) / group }
    public var superGroups: Int { (columns + 255) / 256 }
    /// The bytes of one panel's scales, and of its super-scales.
    var scaleBytes: Int { groups * 16 * scaleType.byteCount }
    var superBytes: Int { superGroups * 32 }
    /// The bytes of one panel's codes.
    var panelBytes: Int { stride / 32 * 64 * bits }
  }

  /// How scales and minima are stored.
  public enum ScaleType: Sendable, Equatable {
    case float32
    case float16
    /// Eight bits (scales signed, minima unsigned) times a half for each 256 columns.
    case int8

    var byteCount: Int {
      switch self {
      case .float32: 4
      case .float16: 2
      case .int8: 1
      }
    }

    var kernelType: halftone_scale_type {
      switch self {
      case .float32: halftone_scale_f32
      case .float16: halftone_scale_f16
      case .int8: halftone_scale_i8
      }
    }
  }

  /// One panel of sixteen rows to be filled; rows at or after the matrix's end may be left.
  public struct Panel {
    /// [16][stride] unsigned codes, zeroed.
    public let codes: UnsafeMutablePointer<UInt8>
    /// [groups][16] of the layout's scale type.
    public let scales: UnsafeMutableRawPointer
    public let minima: UnsafeMutableRawPointer?
    /// [superGroups][16] halves, for 8-bit scales.
    public let superScales: UnsafeMutablePointer<UInt16>?
    public let superMinima: UnsafeMutablePointer<UInt16>?
    /// [16] sums over the columns of the dequantized rows.
    public let rowSums: UnsafeMutablePointer<Float>?
  }

  public let layout: Layout
  private let codes: Tensor
  private let scales: Tensor
  private let minima: Tensor?
  private let superScales: Tensor?
  private let superMinima: Tensor?
  private let rowSums: Tensor?
  private let table: Tensor?
  private let description = UnsafeMutablePointer<halftone_matrix>.allocate(capacity: 1)

  /// Packs the panels that `fill` writes; it is called on several threads at once.
  public init(_ layout: Layout, fill: (_ panel: Int, Panel) -> Void) {
    precondition([2, 3, 4, 5, 6, 8].contains(layout.bits) && (0...255).contains(layout.zero))
    precondition(layout.table.map { $0.count == 16 && layout.bits == 4 } ?? true)
    precondition(layout.group == 16 || layout.group % 32 == 0 || layout.group >= layout.columns)
    let isSuper = layout.scaleType == .int8
    self.layout = layout
    codes = Tensor(
      shape: [layout.panels * layout.panelBytes], elementType: .uint8, lasting: true
    ) { _ in }
    scales = Self.zeroed(layout.panels * layout.scaleBytes)
    minima = layout.hasMinima ? Self.zeroed(layout.panels * layout.scaleBytes) : nil
    superScales = isSuper ? Self.zeroed(layout.panels * layout.superBytes) : nil
    superMinima =
      isSuper && layout.hasMinima ? Self.zeroed(layout.panels * layout.superBytes) : nil
    rowSums = layout.hasRowSums ? Self.zeroed(layout.panels * 64) : nil
    table = layout.table.map { table in
      Tensor(shape: [16], elementType: .uint8) { $0.copyBytes(from: table) }
    }
    description.initialize(to: halftone_matrix())
    describe(&description.pointee)
    pack(fill)
  }

  private static func zeroed(_ byteCount: Int) -> Tensor {
    Tensor(shape: [byteCount], elementType: .uint8, lasting: true) {
      $0.initializeMemory(as: UInt8.self, repeating: 0)
    }
  }

  private func pack(_ fill: (_ panel: Int, Panel) -> Void) {
    let packed = Self.mutable(codes)
    parallelFor(layout.panels) { index in
      withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16 * layout.stride) { buffer in
        buffer.initialize(repeating: 0)
        guard let unpacked = buffer.baseAddress else { return }
        fill(index, panel(index, unpacked))
        halftone_pack_panel(
          unpacked, layout.stride, Int32(layout.bits),
          (packed + index * layout.panelBytes).assumingMemoryBound(to: UInt8.self))
      }
    }
  }

  /// Where panel `index` is to be written; only while this object alone knows its tensors.
  private func panel(_ index: Int, _ codes: UnsafeMutablePointer<UInt8>) -> Panel {
    let (scaleOffset, superOffset) = (index * layout.scaleBytes, index * layout.superBytes / 2)
    return Panel(
      codes: codes, scales: Self.mutable(scales) + scaleOffset,
      minima: minima.map { Self.mutable($0) + scaleOffset },
      superScales: superScales.map { Self.halves($0) + superOffset },
      superMinima: superMinima.map { Self.halves($0) + superOffset },
      rowSums: rowSums.map { Self.mutable($0).assumingMemoryBound(to: Float.self) + index * 16 })
  }

  deinit { description.deallocate() }

  /// Only while this object alone knows the tensor.
  static func mutable(_ tensor: Tensor) -> UnsafeMutableRawPointer {
    UnsafeMutableRawPointer(mutating: address(tensor))
  }

  private static func halves(_ tensor: Tensor) -> UnsafeMutablePointer<UInt16> {
    mutable(tensor).assumingMemoryBound(to: UInt16.self)
  }

  /// Where the bytes lie as long as the tensor lives.
  static func address(_ tensor: Tensor) -> UnsafeRawPointer {
    tensor.withBytes { bytes in
      guard let base = bytes.baseAddress else { preconditionFailure("a matrix without elements") }
      return base
    }
  }

  /// The bytes that codes, scales and minima take.
  public var byteCount: Int {
    [codes, scales, minima, superScales, superMinima].reduce(0) { $0 + ($1?.count ?? 0) }
  }

  private func describe(_ matrix: inout halftone_matrix) {
    func bytes(_ tensor: Tensor?) -> UnsafePointer<UInt8>? {
      tensor.map { Self.address($0).assumingMemoryBound(to: UInt8.self) }
    }
    func halves(_ tensor: Tensor?) -> UnsafePointer<UInt16>? {
      tensor.map { Self.address($0).assumingMemoryBound(to: UInt16.self) }
    }
    matrix.rows = layout.rows
    matrix.columns = layout.columns
    matrix.bits = Int32(layout.bits)
    matrix.zero = Int32(layout.zero)
    matrix.table = bytes(table)
    matrix.group = layout.group
    matrix.scale_type = layout.scaleType.kernelType
    matrix.scales = UnsafeRawPointer(bytes(scales))
    matrix.minima = UnsafeRawPointer(bytes(minima))
    matrix.super_scales = halves(superScales)
    matrix.super_minima = halves(superMinima)
    matrix.row_sums = rowSums.map { Self.address($0).assumingMemoryBound(to: Float.self) }
    matrix.codes = bytes(codes)
  }

  /// The matrix for the kernels, valid as long as this object lives.
  public var kernelMatrix: UnsafePointer<halftone_matrix> { UnsafePointer(description) }

  /// The matrix for the kernels; valid during `body`.
  public func withKernelMatrix<R>(_ body: (UnsafePointer<halftone_matrix>) throws -> R) rethrows
    -> R
  {
    try withExtendedLifetime(self) { try body(kernelMatrix) }
  }
}
