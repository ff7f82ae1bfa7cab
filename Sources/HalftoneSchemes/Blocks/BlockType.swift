import CHalftoneKernels

/// The formats in which GGUF files keep runs of weights with their scales; the raw value is the
/// number that the files give them.
public enum BlockType: UInt32, Sendable, CaseIterable {
  case q40 = 2
  case q41 = 3
  case q50 = 6
  case q51 = 7
  case q80 = 8
  case q2K = 10
  case q3K = 11
  case q4K = 12
  case q5K = 13
  case q6K = 14
  case iq4nl = 20
  case iq4xs = 23
  case tq10 = 34
  case tq20 = 35
  case mxfp4 = 39

  /// The type that tools spell like this, whatever the case: "q4_0".
  public init?(name: String) {
    let wanted = name.uppercased()
    guard let type = Self.allCases.first(where: { $0.name == wanted }) else { return nil }
    self = type
  }

  var format: UnsafePointer<halftone_block_format> {
    guard let format = halftone_block_format_of(rawValue) else {
      preconditionFailure("no kernel for block type \(rawValue)")
    }
    return format
  }

  /// As tools spell it: "Q4_K".
  public var name: String { String(cString: format.pointee.name) }

  /// Elements in one block.
  public var blockLength: Int { format.pointee.length }

  /// Bytes of one block.
  public var blockByteCount: Int { format.pointee.byte_count }

  public var bitsPerElement: Double { Double(blockByteCount * 8) / Double(blockLength) }

  /// The bytes of a tensor whose rows are whole blocks; nil if they are not, or if that overflows.
  public func byteCount(of shape: [Int]) -> Int? {
    guard let columns = shape.last, columns % blockLength == 0 else { return nil }
    var total = blockByteCount
    for length in shape.dropLast() + [columns / blockLength] {
      let product = total.multipliedReportingOverflow(by: length)
      guard length >= 0, !product.overflow else { return nil }
      total = product.partialValue
    }
    return total
  }
}
