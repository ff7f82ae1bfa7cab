/// Lays out rows of words in columns.
public enum TextTable {
  /// The header, then the rows, columns two spaces apart, no spaces at the ends of lines.
  public static func lines(
    _ header: [String], _ rows: [[String]], rightAligned: Set<Int> = []
  ) -> [String] {
    let all = [header] + rows
    let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    return all.map { row in
      let cells = row.enumerated().map { column, cell in
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        return rightAligned.contains(column) ? padding + cell : cell + padding
      }
      let line = cells.joined(separator: "  ")
      return String(line.reversed().drop { $0 == " " }.reversed())
    }
  }
}
