/// A run as Markdown.
public enum MarkdownReport {
  public static func render(_ record: RunRecord) -> String {
    var lines = [
      "# \(record.recipe) on \(record.model)", "",
      "| | |", "| --- | ---: |",
      "| size before | \(Figures.bytes(record.bytesBefore)) |",
      "| size after | \(Figures.bytes(record.bytesAfter)) |",
      "| bits per quantized weight | \(Figures.fixed(record.bitsPerWeight, 2)) |",
      "| mean layer error | \(Figures.scientific(record.meanErrors.after)) |",
      "| the same by rounding to nearest | \(Figures.scientific(record.meanErrors.rtn)) |",
    ]
    if let evaluation = record.evaluation {
      lines.append("| perplexity before | \(Figures.fixed(evaluation.perplexityBefore, 4)) |")
      lines.append("| perplexity after | \(Figures.fixed(evaluation.perplexityAfter, 4)) |")
    }
    lines += [
      "| seed | \(record.seed) |", "| time | \(Figures.fixed(record.seconds, 1)) s |",
      "| peak memory | \(Figures.bytes(record.peakBytes)) |", "",
      "| layer | scheme | method | min-max rounding | rounding to nearest | written |",
      "| --- | --- | --- | ---: | ---: | ---: |",
    ]
    for layer in record.layers {
      let figures = [layer.errorBefore, layer.errorRTN, layer.errorAfter]
        .map(Figures.scientific).joined(separator: " | ")
      lines.append("| \(layer.name) | \(layer.scheme) | \(layer.method) | \(figures) |")
    }
    let warnings = record.allWarnings
    if !warnings.isEmpty { lines += ["", "Warnings:", ""] + warnings.map { "- \($0)" } }
    return lines.joined(separator: "\n") + "\n"
  }
}
