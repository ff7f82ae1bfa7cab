import Foundation

/// The lines of a study of formats as a table, in Markdown and as pictures.
public enum FormatStudyText {
  public static let header = [
    "format", "granularity", "bits", "SQNR dB", "worst", "output error", "inputs dB", "acc. bits",
    "gates", "LUTs", "front",
  ]

  /// A row for each line; "b" and "g" in the last cell for those on the fronts of bits and of gates.
  public static func rows(_ record: FormatStudyRecord) -> [[String]] {
    let (bits, gates) = (Set(record.bitsFront), Set(record.gatesFront))
    return record.lines.enumerated().map { index, line in
      [
        line.format, line.granularity, Figures.fixed(line.bitsPerWeight, 2),
        Figures.fixed(line.signalToNoise, 1), Figures.fixed(line.worstSignalToNoise, 1),
        line.outputError.map(Figures.scientific) ?? "",
        line.inputSignalToNoise.map { Figures.fixed($0, 1) } ?? "",
        line.accumulatorBits.map { "\($0)" } ?? "", line.gates.map { Figures.fixed($0, 0) } ?? "",
        line.lookupTables.map { Figures.fixed($0, 0) } ?? "",
        (bits.contains(index) ? "b" : "") + (gates.contains(index) ? "g" : ""),
      ]
    }
  }

  /// What the columns mean, and on what they were measured.
  public static func notes(_ record: FormatStudyRecord) -> [String] {
    var notes = [
      "Rounding to nearest, range \(record.range); SQNR is the mean over layers, in dB. "
        + "Gates and LUTs: one multiply-accumulate with both sides in the format and an exact sum of "
        + "\(record.dotProductLength) products, by formulas, not measured on a device.",
      "Fronts: b, nothing has fewer bits and less error; g, nothing has fewer gates and less error.",
    ]
    notes[0] +=
      record.calibration.isEmpty
      ? " Without --calibration errors are those of the weights alone."
      : " Output errors are geometric means over layers, inputs rounded per token, on "
        + record.calibration.joined(separator: ", ") + "."
    for (word, count) in record.skippedLayers.sorted(by: { $0.key < $1.key }) {
      notes.append("\(word): \(count) layers left out, whose rows its groups do not divide.")
    }
    return notes
  }

  public static func markdown(_ record: FormatStudyRecord) -> String {
    var lines = ["# Number formats on \(record.model)", ""]
    lines += notes(record).flatMap { [$0, ""] }
    lines.append("| \(header.joined(separator: " | ")) |")
    lines.append("|\(header.map { _ in "---" }.joined(separator: "|"))|")
    lines += rows(record).map { "| \($0.joined(separator: " | ")) |" }
    return lines.joined(separator: "\n") + "\n"
  }

  // MARK: - Picture

  private static let (width, height, margin) = (520.0, 380.0, 56.0)

  /// Error against bits per weight beside error against gates, both logarithmic; fronts are joined.
  public static func picture(_ record: FormatStudyRecord) -> String {
    let bits = record.lines.map { log2($0.bitsPerWeight) }
    let gates = record.lines.map { $0.gates.map { log10($0) } ?? .nan }
    return """
      <svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="Error of number formats" \
      width="\(Int(2 * width))" height="\(Int(height))" font-family="sans-serif" font-size="10">
      \(plot(record, bits, record.bitsFront, title: "error against bits per weight (log2)", left: 0))
      \(plot(record, gates, record.gatesFront, title: "error against gates (log10)", left: width))
      </svg>

      """
  }

  private static func plot(
    _ record: FormatStudyRecord, _ costs: [Double], _ front: [Int], title: String, left: Double
  ) -> String {
    let errors = record.lines.map { log10($0.error) }
    let shown = costs.indices.filter { costs[$0].isFinite && errors[$0].isFinite }
    guard let (x, y) = scales(shown.map { costs[$0] }, shown.map { errors[$0] }) else { return "" }
    func place(_ i: Int) -> (Double, Double) {
      (
        left + margin + (costs[i] - x.low) / x.span * (width - 2 * margin),
        height - margin - (errors[i] - y.low) / y.span * (height - 2 * margin)
      )
    }
    let path = front.map { i in
      let (a, b) = place(i)
      return "\(Figures.fixed(a, 1)),\(Figures.fixed(b, 1))"
    }
    var parts = [
      "<text x=\"\(Figures.fixed(left + margin, 0))\" y=\"20\">\(title)</text>",
      "<polyline points=\"\(path.joined(separator: " "))\" fill=\"none\" stroke=\"#b4530a\"/>",
    ]
    for exponent in stride(from: ceil(y.low), through: y.low + y.span, by: 1) {
      let at = height - margin - (exponent - y.low) / y.span * (height - 2 * margin)
      parts.append(
        "<text x=\"\(Figures.fixed(left + 8, 0))\" y=\"\(Figures.fixed(at, 1))\">1e\(Int(exponent))</text>"
      )
    }
    for i in shown {
      let (a, b) = place(i)
      parts.append(
        "<circle cx=\"\(Figures.fixed(a, 1))\" cy=\"\(Figures.fixed(b, 1))\" r=\"3\" fill=\"#1763a6\"/>"
          + "<text x=\"\(Figures.fixed(a + 5, 1))\" y=\"\(Figures.fixed(b + 3, 1))\">"
          + "\(Markup.escaped(record.lines[i].label))</text>")
    }
    return parts.joined(separator: "\n")
  }

  private typealias Scale = (low: Double, span: Double)

  private static func scales(_ x: [Double], _ y: [Double]) -> (Scale, Scale)? {
    guard let left = x.min(), let right = x.max(), let low = y.min(), let high = y.max() else {
      return nil
    }
    return ((left, max(right - left, 1e-9)), (low, max(high - low, 1e-9)))
  }
}
