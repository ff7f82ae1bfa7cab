import HalftoneCheckpoints
import HalftoneSchemes

/// Which type each matrix of a GGUF file gets, under the names that llama.cpp's tools give to it.
public struct GGUFMix: Sendable, Equatable {
  /// Every name, in the order of their sizes.
  public static let names = entries.map(\.name)

  /// As on the command line: "q4_k_m".
  public let name: String
  /// The number of `general.file_type`.
  let fileType: Int
  /// What most matrices get.
  let base: GGUFTensorType

  private static let entries: [(name: String, fileType: Int, base: String)] = [
    ("f32", 0, "F32"), ("f16", 1, "F16"), ("bf16", 32, "BF16"), ("q8_0", 7, "Q8_0"),
    ("q6_k", 18, "Q6_K"), ("q5_k_m", 17, "Q5_K"), ("q5_k_s", 16, "Q5_K"), ("q5_1", 9, "Q5_1"),
    ("q5_0", 8, "Q5_0"), ("q4_k_m", 15, "Q4_K"), ("q4_k_s", 14, "Q4_K"), ("q4_1", 3, "Q4_1"),
    ("q4_0", 2, "Q4_0"), ("iq4_nl", 25, "IQ4_NL"), ("iq4_xs", 30, "IQ4_XS"),
    ("mxfp4", 38, "MXFP4"), ("q3_k_l", 13, "Q3_K"), ("q3_k_m", 12, "Q3_K"),
    ("q3_k_s", 11, "Q3_K"), ("q2_k", 10, "Q2_K"), ("tq2_0", 37, "TQ2_0"), ("tq1_0", 36, "TQ1_0"),
  ]

  /// The mix of that name, whatever the case; "q4_k", "q5_k" and "q3_k" are those ending in "_m".
  public init?(_ name: String) {
    let short = name.lowercased()
    let wanted = ["q3_k", "q4_k", "q5_k"].contains(short) ? short + "_m" : short
    guard let entry = Self.entries.first(where: { $0.name == wanted }),
      let base = GGUFTensorType(name: entry.base)
    else { return nil }
    self.name = entry.name
    fileType = entry.fileType
    self.base = base
  }

  /// The block type of most matrices; nil for floats.
  private var blocks: BlockType? { if case .blocks(let type) = base { type } else { nil } }

  /// Where a matrix stands.
  struct Place {
    /// Its Hugging Face name without ".weight".
    let module: String
    /// The index of its block, of `blockCount`; nil outside of them.
    let block: Int?
    let blockCount: Int
    /// Query heads for each key head.
    let headRatio: Int
    /// Whether it turns the last activations to logits.
    let isOutput: Bool
  }

  /// What the matrix at `place` gets where its rows can be cut into such blocks.
  func type(_ place: Place) -> GGUFTensorType {
    guard let blocks else { return base }
    if place.isOutput { return .blocks(blocks == .q80 || blocks == .mxfp4 ? .q80 : .q6K) }
    if place.module == "model.embed_tokens", blocks == .tq10 || blocks == .tq20 {
      return .blocks(.q4K)
    }
    guard let index = place.block else { return base }
    let kind = place.module.split(separator: ".").last.map(String.init) ?? ""
    return inBlock(kind, index, place).map(GGUFTensorType.blocks) ?? base
  }

  /// Values and the last feed-forward layer matter most, in the first and last blocks above all.
  private func inBlock(_ kind: String, _ index: Int, _ place: Place) -> BlockType? {
    let count = place.blockCount
    let (values, down, output) = (kind == "v_proj", kind == "down_proj", kind == "o_proj")
    let isEmphasized =
      index < count / 8 || index >= 7 * count / 8 || (index - count / 8) % 3 == 2
    switch name {
    case "q4_k_m", "q5_k_m": return (values || down) && isEmphasized ? .q6K : nil
    case "q4_k_s": return values && index < 4 || down && index < count / 8 ? .q5K : nil
    case "q3_k_l": return values || down || output ? .q5K : nil
    case "q3_k_m":
      if values { return index < 2 ? .q5K : .q4K }
      if down { return index < count / 16 ? .q5K : .q4K }
      return output ? .q4K : nil
    case "q2_k":
      if values { return place.headRatio >= 4 ? .q4K : .q3K }
      return down || output ? .q3K : nil
    default: return nil
    }
  }

  /// `type`, or the next larger one where rows of `columns` are no whole number of its blocks.
  static func fitting(_ type: GGUFTensorType, columns: Int) -> GGUFTensorType {
    guard case .blocks(let blocks) = type, columns % blocks.blockLength != 0 else { return type }
    let smaller: BlockType? =
      switch blocks {
      case .q2K, .q3K, .tq10, .tq20: .q40
      case .q4K: .q50
      case .q5K: .q51
      case .q6K: .q80
      case .iq4xs: .iq4nl
      default: nil
      }
    guard let smaller, columns % smaller.blockLength == 0 else { return .plain(.float16) }
    return .blocks(smaller)
  }
}
