import HalftoneSchemes
import HalftoneTensor

/// The words of a row of codes in compressed-tensors' packed weights.
enum PackedCodes {
  /// 32-bit words for `count` codes in one stream without gaps.
  static func denseWords(_ count: Int, bits: Int) -> Int { (count * bits + 31) / 32 }

  /// 32-bit words for `count` codes of which none crosses a word, as files before 2026 have them.
  static func separateWords(_ count: Int, bits: Int) -> Int {
    (count + 32 / bits - 1) / (32 / bits)
  }

  /// The code that a field of zeros stands for: the lowest integer, or the first of a table.
  static func low(of format: any NumberFormat) -> Int {
    if case .uniform(let low, _) = format.values { low } else { 0 }
  }

  /// `codes` [rows, columns] I8 as words [rows, ⌈columns·bits/32⌉] I32, code − low in each field.
  static func pack(_ codes: Tensor, bits: Int, low: Int) -> Tensor {
    let (rows, columns) = (codes.rows, codes.columns)
    let words = denseWords(columns, bits: bits)
    let used = (columns * bits + 7) / 8
    return codes.withBytes { bytes in
      let source = bytes.bindMemory(to: Int8.self)
      return Tensor(shape: [rows, words], elementType: .int32) { out in
        parallelRanges(rows, grain: max(1, (1 << 16) / max(1, columns))) { range in
          for row in range {
            let line = UnsafeMutableRawBufferPointer(
              rebasing: out[row * words * 4..<(row + 1) * words * 4])
            for i in used..<words * 4 { line[i] = 0 }
            Kernels.pack(
              UnsafeBufferPointer(rebasing: source[row * columns..<(row + 1) * columns]),
              low: low, bits: bits,
              UnsafeMutableRawBufferPointer(rebasing: line[..<used]))
          }
        }
      }
    }
  }

  enum Layout {
    case dense, separate
  }

  /// The layout in which `columns` codes take so many words; nil if they do in neither.
  ///
  /// Short rows may take as many in both; then it is the `preferred` one.
  static func layout(
    words: Int, columns: Int, bits: Int, preferred: Layout = .dense
  ) -> Layout? {
    let isDense = words == denseWords(columns, bits: bits)
    let isSeparate = words == separateWords(columns, bits: bits)
    if isDense && isSeparate { return preferred }
    return isDense ? .dense : isSeparate ? .separate : nil
  }

  /// The first row of words that has bits set which belong to no code; nil if none has.
  static func firstPaddedRow(
    _ bytes: UnsafeRawBufferPointer, _ shape: [Int], bits: Int, _ layout: Layout
  ) -> Int? {
    let (rows, columns) = (shape[0], shape[1])
    let words = bytes.count / rows / 4
    guard words > 0 else { return nil }
    let inWord = layout == .dense ? 32 : 32 / bits * bits
    let inLast = columns * bits - (words - 1) * inWord
    func overflows(_ word: Int, _ used: Int) -> Bool {
      let value = bytes.loadUnaligned(fromByteOffset: 4 * word, as: UInt32.self)
      return used < 32 && value >> UInt32(used) != 0
    }
    return (0..<rows).first { row in
      let first = row * words
      return overflows(first + words - 1, inLast)
        || inWord < 32 && (first..<first + words - 1).contains { overflows($0, inWord) }
    }
  }

  /// The inverse of ``pack(_:bits:low:)`` for words [rows, n], n as `layout` has it.
  static func unpack(
    _ words: Tensor, columns: Int, bits: Int, low: Int, _ layout: Layout
  ) -> Tensor {
    words.withBytes { unpack($0, [words.rows, columns], bits: bits, low: low, layout) }
  }

  /// Codes of `shape` from the bytes of rows of equal length.
  static func unpack(
    _ bytes: UnsafeRawBufferPointer, _ shape: [Int], bits: Int, low: Int, _ layout: Layout
  ) -> Tensor {
    let (rows, columns) = (shape[0], shape[1])
    let stride = bytes.count / rows
    let perWord = layout == .dense ? columns : 32 / bits
    return Tensor(shape: shape, elementType: .int8) { out in
      let codes = out.bindMemory(to: Int8.self)
      parallelRanges(rows, grain: max(1, (1 << 16) / max(1, columns))) { range in
        for row in range {
          for first in Swift.stride(from: 0, to: columns, by: perWord) {
            let run = min(perWord, columns - first)
            let start = row * stride + first / perWord * 4
            Kernels.unpack(
              UnsafeRawBufferPointer(rebasing: bytes[start..<start + (run * bits + 7) / 8]),
              low: low, bits: bits,
              UnsafeMutableBufferPointer(
                rebasing: codes[row * columns + first..<row * columns + first + run]))
          }
        }
      }
    }
  }

  /// The transpose of a matrix of any element type.
  static func transposed(_ matrix: Tensor) -> Tensor {
    switch matrix.elementType.byteCount {
    case 1: transposed(matrix, of: UInt8.self)
    case 2: transposed(matrix, of: UInt16.self)
    default: transposed(matrix, of: UInt32.self)
    }
  }

  private static func transposed<Element: BitwiseCopyable>(
    _ matrix: Tensor, of: Element.Type
  ) -> Tensor {
    let (rows, columns) = (matrix.rows, matrix.columns)
    let size = MemoryLayout<Element>.size
    return Tensor(shape: [columns, rows], elementType: matrix.elementType) { out in
      matrix.withBytes { bytes in
        guard let from = bytes.baseAddress, let to = out.baseAddress else { return }
        // Sixteen columns at a time, so that what is read of a row is used while it is near.
        parallelRanges(columns, grain: 16) { range in
          for i in 0..<rows {
            for j in range {
              let element = (from + (i * columns + j) * size).loadUnaligned(as: Element.self)
              (to + (j * rows + i) * size).storeBytes(of: element, as: Element.self)
            }
          }
        }
      }
    }
  }
}
