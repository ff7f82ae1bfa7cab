public import CHalftoneKernels
public import HalftoneTensor

/// A float weight matrix in the layout that the dense kernels read: panels of sixteen rows, in which
/// the element of row r and column c is at 16·c + r.
public final class DenseMatrix: @unchecked Sendable {
  public let rows: Int
  public let columns: Int
  private let type: halftone_dense_type
  private let elements: Tensor
  private let description = UnsafeMutablePointer<halftone_dense_matrix>.allocate(capacity: 1)

  /// Packs `weight` [rows, columns] of floats, halves or bfloat16, keeping its type; a mapped
  /// weight's pages are given back.
  public init(_ weight: Tensor) {
    precondition(weight.shape.count == 2, "a matrix of shape \(weight.shape)")
    rows = weight.shape[0]
    columns = weight.shape[1]
    let panels = (weight.shape[0] + 15) / 16
    let shape = [panels, weight.shape[1], 16]
    switch weight.elementType {
    case .float32:
      type = halftone_dense_f32
      elements = Self.pack(weight, shape, UInt32.self)
    case .float16:
      type = halftone_dense_f16
      elements = Self.pack(weight, shape, UInt16.self)
    case .bfloat16:
      type = halftone_dense_bf16
      elements = Self.pack(weight, shape, UInt16.self)
    case .int8, .uint8, .int32:
      preconditionFailure("a dense weight of \(weight.elementType.rawValue)")
    }
    weight.evict()
    description.initialize(
      to: halftone_dense_matrix(
        rows: rows, columns: columns, type: type, elements: PackedMatrix.address(elements)))
  }

  private static func pack<Element: FixedWidthInteger>(
    _ weight: Tensor, _ shape: [Int], _ type: Element.Type
  ) -> Tensor {
    let (rows, columns) = (weight.shape[0], weight.shape[1])
    return weight.withBytes { bytes in
      Tensor(shape: shape, elementType: weight.elementType, lasting: true) { out in
        guard let from = bytes.baseAddress, let to = out.baseAddress else { return }
        let elements = to.assumingMemoryBound(to: Element.self)
        parallelFor(shape[0]) { panel in
          for r in 0..<16 {
            let row = panel * 16 + r
            let target = elements + panel * 16 * columns + r
            guard row < rows else {
              for c in 0..<columns { target[16 * c] = 0 }
              continue
            }
            let source = from + row * columns * MemoryLayout<Element>.size
            for c in 0..<columns {
              // Tensors of a file may lie at any address.
              target[16 * c] = source.loadUnaligned(
                fromByteOffset: c * MemoryLayout<Element>.size, as: Element.self)
            }
          }
        }
      }
    }
  }

  public var byteCount: Int { elements.count * elements.elementType.byteCount }

  /// The matrix for the kernels, valid as long as this object lives.
  public var kernelMatrix: UnsafePointer<halftone_dense_matrix> { UnsafePointer(description) }

  deinit { description.deallocate() }
}

/// A bfloat16 weight matrix in the layout of the bfloat16 products: panels of sixteen rows, in which
/// two neighbouring columns of a row lie side by side.
public final class BFloat16Matrix: Sendable {
  private let packed: Tensor

  /// Packs `weight` [rows, columns] of bfloat16; a mapped weight's pages are given back.
  public init(_ weight: Tensor) {
    precondition(weight.shape.count == 2 && weight.elementType == .bfloat16)
    let (rows, columns) = (weight.shape[0], weight.shape[1])
    let pairs = (columns + 1) / 2
    packed = weight.withBytes { bytes in
      Tensor(
        shape: [(rows + 15) / 16, pairs, 32], elementType: .bfloat16, lasting: true
      ) { out in
        guard let from = bytes.baseAddress, let to = out.baseAddress else { return }
        parallelFor((rows + 15) / 16) { panel in
          let count = min(16, rows - panel * 16)
          withUnsafeTemporaryAllocation(of: UInt16.self, capacity: count * columns) { copy in
            // Tensors of a file may lie at any address.
            UnsafeMutableRawBufferPointer(copy).copyMemory(
              from: UnsafeRawBufferPointer(
                start: from + panel * 32 * columns, count: count * 2 * columns))
            halftone_pack_bf16(
              copy.baseAddress, count, columns,
              to.assumingMemoryBound(to: UInt16.self) + panel * 32 * pairs)
          }
        }
      }
    }
    weight.evict()
  }

  public var byteCount: Int { packed.count * 2 }

  /// For the kernels, valid as long as this object lives.
  public var elements: UnsafePointer<UInt16> {
    PackedMatrix.address(packed).assumingMemoryBound(to: UInt16.self)
  }
}
