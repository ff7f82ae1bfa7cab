/// A run in a few lines for the terminal.
public enum TextReport {
  public static func summary(_ record: RunRecord, output: String) -> String {
    let errors = record.meanErrors
    var lines = [
      "size         \(Figures.bytes(record.bytesBefore)) to \(Figures.bytes(record.bytesAfter))",
      "bits/weight  \(Figures.fixed(record.bitsPerWeight, 2)) in \(record.layers.count) "
        + "quantized layers",
      "layer error  \(Figures.scientific(errors.after)) on average; rounding to nearest "
        + "\(Figures.scientific(errors.rtn))",
    ]
    if let evaluation = record.evaluation {
      lines.append(
        "perplexity   \(Figures.fixed(evaluation.perplexityBefore, 3)) to "
          + "\(Figures.fixed(evaluation.perplexityAfter, 3)) on \(evaluation.tokens) tokens of "
          + evaluation.text)
    }
    let count = record.layers.count { !$0.warnings.isEmpty }
    if count > 0 { lines.append("warnings     in \(count) layers; see the report") }
    lines.append("time         \(Figures.fixed(record.seconds, 1)) s")
    lines.append("output       \(output)")
    return lines.joined(separator: "\n") + "\n"
  }
}
