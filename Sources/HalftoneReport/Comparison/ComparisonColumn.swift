/// One column of a comparison's table, the same in text, Markdown and HTML.
struct ComparisonColumn: Sendable {
  let title: String
  /// In text, where rows are printed before the widths of later ones are known.
  let width: Int
  let cell: @Sendable (ComparisonRow) -> String

  static let all = [
    ComparisonColumn(title: "bits/weight", width: 11) { figure($0.bitsPerWeight, 2) },
    ComparisonColumn(title: "size", width: 9) { $0.bytes.map(Figures.bytes) ?? "-" },
    ComparisonColumn(title: "layer error", width: 11) { scientific($0.layerError) },
    ComparisonColumn(title: "block error", width: 11) { scientific($0.blockError) },
    ComparisonColumn(title: "perplexity", width: 16) { withError($0.perplexity, 3) },
    ComparisonColumn(title: "low to high", width: 18) { range($0, 3) },
    ComparisonColumn(title: "KL", width: 17) { withError($0.kl, 5) },
    ComparisonColumn(title: "seconds", width: 7) { figure($0.seconds, 1) },
    ComparisonColumn(title: "memory", width: 8) { $0.peakBytes.map(Figures.bytes) ?? "-" },
  ]

  private static func figure(_ value: Double?, _ decimals: Int) -> String {
    value.map { Figures.fixed($0, decimals) } ?? "-"
  }

  private static func scientific(_ value: Double?) -> String {
    value.map(Figures.scientific) ?? "-"
  }

  private static func withError(_ spread: Spread?, _ decimals: Int) -> String {
    guard let spread else { return "-" }
    let error = spread.standardError.map { " ± \(Figures.fixed($0, decimals))" } ?? ""
    return Figures.fixed(spread.mean, decimals) + error
  }

  private static func range(_ row: ComparisonRow, _ decimals: Int) -> String {
    if row.isSeedIndependent { return "any seed" }
    guard let spread = row.perplexity, row.runs.count > 1 else { return "one run" }
    return "\(Figures.fixed(spread.low, decimals)) to \(Figures.fixed(spread.high, decimals))"
  }
}
