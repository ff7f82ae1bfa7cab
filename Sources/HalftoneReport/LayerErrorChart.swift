import Foundation

/// The errors of all layers as an SVG picture: one row a layer, a logarithmic axis.
public enum LayerErrorChart {
  private static let labelWidth = 300.0
  private static let plotWidth = 460.0
  private static let rowHeight = 18.0
  private static let top = 34.0

  /// The picture; layers without any error above 0 get no marks.
  public static func render(_ layers: [LayerRecord]) -> String {
    let values = layers.flatMap { [$0.errorAfter, $0.errorRTN] }.filter { $0 > 0 && $0.isFinite }
    let low = floor(log10(values.min() ?? 1e-3))
    let high = max(low + 1, ceil(log10(values.max() ?? 1)))
    let height = top + Double(layers.count) * rowHeight + 10
    var parts = [
      """
      <svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="Layer errors" \
      width="\(Int(labelWidth + plotWidth + 20))" height="\(Int(height))" \
      font-family="sans-serif" font-size="11">
      """,
      legend,
    ]
    parts += axis(from: low, to: high, height: height)
    for (row, layer) in layers.enumerated() {
      parts += marks(layer, row: row, from: low, to: high)
    }
    parts.append("</svg>")
    return parts.joined(separator: "\n") + "\n"
  }

  private static var legend: String {
    """
    <circle cx="6" cy="9" r="4" fill="#1763a6"/><text x="14" y="13">written</text>
    <circle cx="76" cy="9" r="3.5" fill="none" stroke="#b4530a"/>\
    <text x="84" y="13">rounding to nearest</text>
    """
  }

  private static func axis(from low: Double, to high: Double, height: Double) -> [String] {
    stride(from: low, through: high, by: 1).map { exponent in
      let x = Figures.fixed(position(exponent, low, high), 1)
      return """
        <line x1="\(x)" y1="\(Figures.fixed(top - 6, 1))" x2="\(x)" \
        y2="\(Figures.fixed(height - 8, 1))" stroke="#ddd"/>\
        <text x="\(x)" y="\(Figures.fixed(top - 10, 1))" text-anchor="middle">1e\(Int(exponent))</text>
        """
    }
  }

  private static func marks(
    _ layer: LayerRecord, row: Int, from low: Double, to high: Double
  ) -> [String] {
    let y = Figures.fixed(top + (Double(row) + 0.5) * rowHeight, 1)
    let label = Figures.fixed(labelWidth - 10, 1)
    var parts = [
      """
      <text x="\(label)" y="\(y)" text-anchor="end" dominant-baseline="middle">\
      \(Markup.escaped(layer.name))</text>
      """
    ]
    func mark(_ value: Double, _ style: String) {
      guard value > 0, value.isFinite else { return }
      let x = Figures.fixed(position(log10(value), low, high), 1)
      parts.append("<circle cx=\"\(x)\" cy=\"\(y)\" \(style)/>")
    }
    mark(layer.errorRTN, "r=\"4.5\" fill=\"none\" stroke=\"#b4530a\"")
    mark(layer.errorAfter, "r=\"4\" fill=\"#1763a6\"")
    return parts
  }

  private static func position(_ exponent: Double, _ low: Double, _ high: Double) -> Double {
    labelWidth + (exponent - low) / (high - low) * (plotWidth - 20)
  }
}

/// Text inside HTML and SVG.
enum Markup {
  static func escaped(_ text: String) -> String {
    var result = ""
    for character in text {
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "'": result += "&#39;"
      default: result.append(character)
      }
    }
    return result
  }
}
