import Foundation
import HalftoneReport
import Testing

@Suite struct ComparisonTests {
  static func run(
    seed: UInt64 = 0, bytes: Int = 1024, perplexity: Double, errors: [Double?] = [nil, nil],
    seconds: Double = 2, peakBytes: Int = 1 << 26
  ) -> ComparisonRun {
    var record = ReportTests.record
    record.seed = seed
    record.bytesAfter = bytes
    record.seconds = seconds
    record.peakBytes = peakBytes
    record.blocks = errors.enumerated().map { index, error in
      BlockRecord(index: index, iterations: 0, seconds: 1, outputError: error)
    }
    return ComparisonRun(
      record, digest: "\(seed)",
      predictions: ComparisonRun.Predictions(
        tokens: 630, perplexity: perplexity, standardError: 0.1, originalPerplexity: 5.25,
        klMean: perplexity / 100, klP99: 1, top1Agreement: 0.5))
  }

  static func record(_ rows: [ComparisonRow]) -> ComparisonRecord {
    ComparisonRecord(
      model: "models/<tiny> | co", calibration: ["a.txt"], text: "t.txt", context: 64, windows: nil,
      seeds: [0, 1], versions: ReportTests.record.versions, rows: rows)
  }

  static let rows = [
    ComparisonRow(
      recipe: "rtn", label: "rtn", runs: [run(bytes: 1024, perplexity: 8)], isSeedIndependent: true),
    ComparisonRow(
      recipe: "r/flex.yaml", label: "flex",
      runs: [
        run(seed: 0, bytes: 1024, perplexity: 6, errors: [1, 3], seconds: 10, peakBytes: 1 << 20),
        run(seed: 1, bytes: 1024, perplexity: 7, errors: [2, 4], seconds: 20, peakBytes: 1 << 21),
      ]),
    ComparisonRow(recipe: "big", label: "big", runs: [run(bytes: 4096, perplexity: 5.5)]),
    ComparisonRow(recipe: "worse", label: "worse", runs: [run(bytes: 8192, perplexity: 5.75)]),
    ComparisonRow(
      recipe: "broken", label: "broken", runs: [run(bytes: 8, perplexity: 5.3)],
      failure: "a | b\nc"),
  ]

  // MARK: - Pareto front

  @Test func theFrontIsWhatNothingBeats() {
    #expect(ParetoFront.indices(of: []) == [])
    #expect(ParetoFront.indices(of: [(3, 1), (1, 3), (2, 2), (2, 3), (3, 3)]) == [1, 2, 0])
    #expect(ParetoFront.indices(of: [(1, 5), (1, 4), (2, 4), (2, 3)]) == [1, 3])
  }

  @Test func equalPointsShareTheirPlace() {
    #expect(ParetoFront.indices(of: [(2, 2), (1, 3), (2, 2)]) == [1, 0, 2])
    #expect(ParetoFront.indices(of: [(2, 3), (1, 2), (2, 3)]) == [1])
  }

  @Test func whatIsNoNumberIsNotOnTheFront() {
    let points: [(Double, Double)] = [(1, .nan), (0, .infinity), (2, 2), (.nan, 0)]
    #expect(ParetoFront.indices(of: points) == [2])
  }

  /// Against the definition, on points of a small grid with many ties.
  @Test func theFrontIsThatOfItsDefinition() {
    let points = (0..<40).map { (i: Int) -> (Double, Double) in
      (Double(i * 7 % 6), Double(i * 11 % 8))
    }
    func beats(_ a: (Double, Double), _ b: (Double, Double)) -> Bool {
      a.0 <= b.0 && a.1 <= b.1 && a != b
    }
    let expected = points.indices.filter { (i: Int) -> Bool in
      !points.contains { beats($0, points[i]) }
    }
    #expect(ParetoFront.indices(of: points).sorted() == expected)
  }

  // MARK: - Rows

  @Test func spreadsAreThoseOfTheirFormulas() throws {
    #expect(Spread([]) == nil)
    let one = try #require(Spread([3]))
    #expect(one.mean == 3 && one.low == 3 && one.high == 3 && one.standardError == nil)
    // Deviations −1, 0, 1: s = 1, and s/√3.
    let three = try #require(Spread([4, 2, 3]))
    #expect(three.mean == 3 && three.low == 2 && three.high == 4)
    #expect(abs((three.standardError ?? 0) - 1 / 3.0.squareRoot()) < 1e-15)
  }

  @Test func rowsAreMeansOverSeeds() {
    let row = Self.rows[1]
    #expect(row.perplexity?.mean == 6.5)
    #expect(row.perplexity?.standardError == 0.5)
    #expect(row.blockError == 2.5)
    #expect(row.layerError == 0.005)
    #expect(row.seconds == 15)
    #expect(row.peakBytes == 1 << 21)
    #expect(Self.rows[0].blockError == nil)
    #expect(Self.rows[4].perplexity == nil)
  }

  @Test func failedRowsAreNotOnTheFront() {
    #expect(Self.record(Self.rows).pareto == ["flex", "big"])
    #expect(Self.record([Self.rows[4]]).pareto == [])
    #expect(Self.record(Self.rows).originalPerplexity == 5.25)
    #expect(Self.record([]).originalPerplexity == nil)
  }

  // MARK: - Documents

  @Test func jsonReadsBackAndHasNullsWhereNothingIsKnown() throws {
    let record = Self.record(Self.rows)
    #expect(try JSONDecoder().decode(ComparisonRecord.self, from: record.json()) == record)
    let parsed = try JSONSerialization.jsonObject(with: record.json())
    let rows = try #require((parsed as? [String: Any])?["rows"] as? [[String: Any]])
    #expect(rows[0]["block_error"] is NSNull)
    #expect(rows[0]["failure"] is NSNull)
    #expect((rows[0]["perplexity"] as? [String: Any])?["standard_error"] is NSNull)
    #expect(rows[4]["perplexity"] is NSNull)
  }

  @Test func tablesHaveAllCells() {
    let record = Self.record(Self.rows)
    let table = ComparisonMarkdown.render(record).split(separator: "\n").filter {
      $0.hasPrefix("|")
    }
    #expect(table.count == 2 + 5)
    let bars = table.map { line in line.replacing("\\|", with: "").count { $0 == "|" } }
    #expect(Set(bars) == [11])
    #expect(table[2].contains("| any seed |"))
    #expect(table[3].contains("| 6.500 ± 0.500 | 6.000 to 7.000 | 0.06500 ± 0.00500 | 15.0 |"))
    #expect(table[6].contains("failed: a \\| b c"))
    let page = ComparisonHTML.render(record)
    #expect(page.contains("models/&lt;tiny&gt; | co"))
    #expect(page.components(separatedBy: "<circle ").count == 1 + 4)
  }

  @Test func rowsStandUnderTheirHeader() {
    let text = ComparisonText(labels: Self.rows.map(\.label))
    let end = text.header.range(of: "KL")?.upperBound
    let width = end.map { text.header.distance(from: text.header.startIndex, to: $0) }
    for row in Self.rows.prefix(4) {
      let line = text.row(row)
      #expect(line.count == text.header.count)
      let cell = line.prefix(width ?? 0).split(separator: " ").last
      #expect(cell?.contains(".") == true)
    }
    #expect(text.row(Self.rows[4]).contains("failed: "))
    #expect(text.ending(Self.record(Self.rows)).contains("flex, big"))
  }
}
