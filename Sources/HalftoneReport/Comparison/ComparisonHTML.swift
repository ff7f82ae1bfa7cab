import Foundation

/// A comparison as one HTML page that needs no other file and no network.
public enum ComparisonHTML {
  public static func render(_ record: ComparisonRecord) -> String {
    let title = Markup.escaped("Recipes on \(record.model)")
    let columns = ComparisonColumn.all
    let rows = record.rows.map { row in
      [row.label] + (row.failure.map { ["failed: \($0)"] } ?? columns.map { $0.cell(row) })
    }
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <title>\(title)</title>
      <style>\(HTMLReport.style)</style>
      </head>
      <body>
      <h1>\(title)</h1>
      <p>\(Markup.escaped(ComparisonMarkdown.settings(record)))</p>
      \(HTMLReport.table(header: ["recipe"] + columns.map(\.title), rows))
      <p>\(ComparisonMarkdown.notes(record).map(Markup.escaped).joined(separator: "<br>\n"))</p>
      \(chart(record))
      </body>
      </html>

      """
  }

  private static let (width, height, margin) = (760.0, 380.0, 60.0)

  /// Perplexity against size; the front is joined by a line.
  private static func chart(_ record: ComparisonRecord) -> String {
    let points = record.rows.compactMap {
      row -> (row: ComparisonRow, size: Double, value: Double)? in
      guard row.failure == nil, let bytes = row.bytes, let value = row.perplexity?.mean,
        value.isFinite, value > 0
      else { return nil }
      return (row, Double(bytes), log(value))
    }
    guard !points.isEmpty else { return "" }
    let x = axis(points.map(\.size), from: margin, to: width - 140)
    let y = axis(points.map(\.value), from: height - margin, to: 20)
    let front = record.pareto.compactMap { label in points.first { $0.row.label == label } }
    let line = front.map { "\(x($0.size)),\(y($0.value))" }.joined(separator: " ")
    var parts = [
      "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-label=\"Perplexity against size\" "
        + "width=\"\(Int(width))\" height=\"\(Int(height))\" font-family=\"sans-serif\" "
        + "font-size=\"11\">",
      "<polyline points=\"\(line)\" fill=\"none\" stroke=\"#b4530a\"/>",
      "<text x=\"\(Int(width / 2))\" y=\"\(Int(height - 10))\">size</text>",
      "<text x=\"4\" y=\"12\">perplexity, logarithmic</text>",
    ]
    for point in points {
      let (label, left, top) = (Markup.escaped(point.row.label), x(point.size), y(point.value))
      let figures = "\(Figures.bytes(Int(point.size))), \(Figures.fixed(exp(point.value), 3))"
      parts.append(
        "<circle cx=\"\(left)\" cy=\"\(top)\" r=\"4\" fill=\"#1763a6\"><title>\(label): "
          + "\(figures)</title></circle>"
          + "<text x=\"\(left)\" y=\"\(top)\" dx=\"7\" dy=\"4\">\(label)</text>")
    }
    parts.append("</svg>")
    return parts.joined(separator: "\n")
  }

  /// Where a value of `values` lies on an axis between two ends.
  private static func axis(
    _ values: [Double], from start: Double, to end: Double
  ) -> (Double) -> String {
    let low = values.min() ?? 0
    let span = (values.max() ?? 0) - low
    return { value in
      let share = span > 0 ? (value - low) / span : 0.5
      return Figures.fixed(start + share * (end - start), 1)
    }
  }
}
