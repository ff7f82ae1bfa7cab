/// A comparison as Markdown.
public enum ComparisonMarkdown {
  public static func render(_ record: ComparisonRecord) -> String {
    let lines =
      ["# Recipes on \(record.model)", "", settings(record), ""] + table(record) + [""]
      + notes(record).map { $0 + "  " }
    return lines.joined(separator: "\n") + "\n"
  }

  /// The table alone.
  static func table(_ record: ComparisonRecord) -> [String] {
    let columns = ComparisonColumn.all
    let header = "| recipe | \(columns.map(\.title).joined(separator: " | ")) |"
    let rule = "| --- |" + String(repeating: " ---: |", count: columns.count)
    return [header, rule]
      + record.rows.map { row in
        if let failure = row.failure {
          return "| \(escaped(row.label)) | failed: \(escaped(failure)) |"
            + String(repeating: " |", count: columns.count - 1)
        }
        return
          "| \(escaped(row.label)) | \(columns.map { $0.cell(row) }.joined(separator: " | ")) |"
      }
  }

  static func settings(_ record: ComparisonRecord) -> String {
    let windows = record.windows.map { "the first \($0) windows" } ?? "all windows"
    let seeds = record.seeds.map { "\($0)" }.joined(separator: ", ")
    return "Perplexity and KL on \(windows) of \(record.context) tokens of \(record.text); "
      + "\(record.seeds.count == 1 ? "seed" : "seeds") \(seeds). ± is the standard error over "
      + "seeds. Layer error: relative squared error of the layers' outputs on held-out tokens. "
      + "Block error: that of the blocks' outputs, the network quantized up to there. Both are means."
  }

  /// The original's figures and the rows that nothing beats.
  static func notes(_ record: ComparisonRecord) -> [String] {
    var lines: [String] = []
    if let perplexity = record.originalPerplexity, let bytes = record.originalBytes {
      lines.append(
        "original      perplexity \(Figures.fixed(perplexity, 3)), \(Figures.bytes(bytes))")
    }
    if !record.pareto.isEmpty {
      lines.append(
        "Pareto front  \(record.pareto.joined(separator: ", ")) (perplexity against size)")
    }
    return lines
  }

  private static func escaped(_ text: String) -> String {
    text.replacing("|", with: "\\|").replacing("\n", with: " ")
  }
}
