/// A run as one HTML page that needs no other file and no network.
public enum HTMLReport {
  public static func render(_ record: RunRecord) -> String {
    let title = Markup.escaped("\(record.recipe) on \(record.model)")
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <title>\(title)</title>
      <style>\(style)</style>
      </head>
      <body>
      <h1>\(title)</h1>
      \(table(header: nil, summary(record)))
      <h2>Layer errors</h2>
      <p>\(explanation(record))</p>
      \(LayerErrorChart.render(record.layers))
      \(table(header: layerHeader, record.layers.map(cells)))
      \(warnings(record))
      </body>
      </html>

      """
  }

  static let style = """
    body { font-family: sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
    table { border-collapse: collapse; font-size: 0.85rem }
    td, th { padding: 0.2rem 0.6rem; border-bottom: 1px solid #ddd; text-align: left }
    svg { max-width: 100%; height: auto }
    """

  private static let layerHeader = [
    "layer", "scheme", "method", "min-max rounding", "rounding to nearest", "written",
  ]

  private static func explanation(_ record: RunRecord) -> String {
    guard let calibration = record.calibration else {
      return "Squared distance of the weights, relative to the weights; no text was given."
    }
    let rows = calibration.heldOut * calibration.length
    let which = calibration.heldOutIsSeparate ? "held out from calibration" : "also learned from"
    return "Squared error of each layer's outputs, relative to the outputs, on \(rows) tokens "
      + "\(which)."
  }

  private static func summary(_ record: RunRecord) -> [[String]] {
    var rows = [
      ["size before", Figures.bytes(record.bytesBefore)],
      ["size after", Figures.bytes(record.bytesAfter)],
      ["bits per quantized weight", Figures.fixed(record.bitsPerWeight, 2)],
      ["mean layer error", Figures.scientific(record.meanErrors.after)],
      ["the same by rounding to nearest", Figures.scientific(record.meanErrors.rtn)],
    ]
    if let evaluation = record.evaluation {
      rows.append(["perplexity before", Figures.fixed(evaluation.perplexityBefore, 4)])
      rows.append(["perplexity after", Figures.fixed(evaluation.perplexityAfter, 4)])
    }
    rows.append(["seed", "\(record.seed)"])
    rows.append(["time", "\(Figures.fixed(record.seconds, 1)) s"])
    rows.append(["peak memory", Figures.bytes(record.peakBytes)])
    let versions = record.versions
    rows.append(
      ["made by", "Halftone \(versions.halftone), \(versions.instructionSet), \(versions.blas)"])
    return rows
  }

  private static func cells(_ layer: LayerRecord) -> [String] {
    [layer.name, layer.scheme, layer.method]
      + [layer.errorBefore, layer.errorRTN, layer.errorAfter].map(Figures.scientific)
  }

  static func table(header: [String]?, _ rows: [[String]]) -> String {
    func row(_ cells: [String], _ tag: String) -> String {
      let cells = cells.map { "<\(tag)>\(Markup.escaped($0))</\(tag)>" }
      return "<tr>\(cells.joined())</tr>"
    }
    let lines = (header.map { [row($0, "th")] } ?? []) + rows.map { row($0, "td") }
    return "<table>\n\(lines.joined(separator: "\n"))\n</table>"
  }

  private static func warnings(_ record: RunRecord) -> String {
    let lines = record.allWarnings.map { "<li>\(Markup.escaped($0))</li>" }
    return lines.isEmpty ? "" : "<h2>Warnings</h2>\n<ul>\n\(lines.joined(separator: "\n"))\n</ul>"
  }
}
