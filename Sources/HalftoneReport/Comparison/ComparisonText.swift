/// A comparison for the terminal, row by row.
public struct ComparisonText: Sendable {
  private let labelWidth: Int

  /// - Parameter labels: of all rows to come.
  public init(labels: [String]) {
    labelWidth = max("recipe".count, labels.map(\.count).max() ?? 0)
  }

  public var header: String {
    line("recipe", ComparisonColumn.all.map(\.title))
  }

  public func row(_ row: ComparisonRow) -> String {
    if let failure = row.failure { return padded(row.label) + "  failed: \(failure)" }
    return line(row.label, ComparisonColumn.all.map { $0.cell(row) })
  }

  /// The original's figures and the rows that nothing beats.
  public func ending(_ record: ComparisonRecord) -> String {
    ComparisonMarkdown.notes(record).joined(separator: "\n")
  }

  private func padded(_ label: String) -> String {
    label + String(repeating: " ", count: max(0, labelWidth - label.count))
  }

  private func line(_ label: String, _ cells: [String]) -> String {
    let columns = zip(cells, ComparisonColumn.all).map { cell, column in
      String(repeating: " ", count: max(0, column.width - cell.count)) + cell
    }
    return ([padded(label)] + columns).joined(separator: "  ")
  }
}
