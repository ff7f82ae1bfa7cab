import CHalftoneKernels
import HalftoneTensor

/// Codes in panels of sixteen rows, as HalftoneProducts.h describes them.
enum PanelCodes {
  /// Packs unsigned codes of `bits` bits; `fill` writes those of a row, on several threads at once.
  static func packed(
    rows: Int, columns: Int, bits: Int, fill: (_ row: Int, UnsafeMutablePointer<UInt8>) -> Void
  ) -> Tensor {
    let (panels, stride) = ((rows + 15) / 16, (columns + 31) / 32 * 32)
    let panelBytes = stride / 32 * 64 * bits
    return Tensor(shape: [panels * panelBytes], elementType: .uint8, lasting: true) { out in
      guard let to = out.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
      parallelFor(panels) { panel in
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 16 * stride) { codes in
          codes.initialize(repeating: 0)
          guard let base = codes.baseAddress else { return }
          for r in 0..<min(16, rows - panel * 16) { fill(panel * 16 + r, base + r * stride) }
          halftone_pack_panel(base, stride, Int32(bits), to + panel * panelBytes)
        }
      }
    }
  }

  /// What `value` gives for each group of each row, sixteen rows of a group side by side.
  static func table<Element: BitwiseCopyable>(
    rows: Int, groups: Int, filler: Element, value: (_ row: Int, _ group: Int) -> Element
  ) -> Tensor {
    let panels = (rows + 15) / 16
    return Tensor(
      shape: [panels * groups * 16 * MemoryLayout<Element>.stride], elementType: .uint8,
      lasting: true
    ) { out in
      let out = out.bindMemory(to: Element.self)
      out.initialize(repeating: filler)
      for row in 0..<rows {
        for group in 0..<groups {
          out[(row / 16 * groups + group) * 16 + row % 16] = value(row, group)
        }
      }
    }
  }
}
