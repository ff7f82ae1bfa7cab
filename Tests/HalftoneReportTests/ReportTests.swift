import Foundation
import HalftoneReport
import Testing

@Suite struct ReportTests {
  static let record = RunRecord(
    model: "models/<tiny> & \"co\"", recipe: "gptq-w4a16", seed: 7,
    versions: RunRecord.Versions(halftone: "0.1.0", instructionSet: "avx2", blas: "OpenBLAS"),
    bitsPerWeight: 4.5, bytesBefore: 4096, bytesAfter: 1024, seconds: 12.25, peakBytes: 1 << 26,
    calibration: RunRecord.Calibration(
      files: ["a.txt"], samples: 8, length: 64, heldOut: 2, heldOutIsSeparate: true),
    evaluation: RunRecord.Evaluation(
      text: "t.txt", context: 64, tokens: 630, perplexityBefore: 5.25, perplexityAfter: 5.5),
    warnings: ["careful"],
    layers: [
      LayerRecord(
        name: "layers.0.q", scheme: "int4 group 32", method: "gptq", errorBefore: 0.04,
        errorAfter: 0.01, errorRTN: 0.03, seconds: 1),
      LayerRecord(
        name: "layers.0.k", scheme: "int4 group 32", method: "gptq", errorBefore: 0, errorAfter: 0,
        errorRTN: 0.01, seconds: 2, warnings: ["odd"]),
    ], blocks: [BlockRecord(index: 0, iterations: 0, seconds: 3)])

  @Test func keysAreThoseOfTheContract() throws {
    let parsed = try JSONSerialization.jsonObject(with: Self.record.json())
    let object = try #require(parsed as? [String: Any])
    let layers = try #require(object["layers"] as? [[String: Any]])
    let blocks = try #require(object["blocks"] as? [[String: Any]])
    let keys: Set = [
      "model", "recipe", "seed", "versions", "bits_per_weight", "bytes_before", "bytes_after",
      "seconds", "peak_bytes", "layers", "blocks",
    ]
    #expect(keys.isSubset(of: Set(object.keys)))
    #expect(
      Set(layers[0].keys) == [
        "name", "scheme", "method", "error_before", "error_after", "error_rtn", "seconds",
        "warnings",
      ])
    #expect(
      Set(blocks[0].keys) == [
        "index", "loss_first", "loss_last", "iterations", "seconds", "held_out_first",
        "held_out_last", "learned_parameters", "settled", "output_error",
      ])
  }

  @Test func jsonReadsBack() throws {
    #expect(try RunRecord(json: Self.record.json()) == Self.record)
  }

  @Test func numbersThatAreNoneAreNotWritten() {
    var record = Self.record
    record.layers[0].errorAfter = .nan
    #expect(throws: EncodingError.self) { try record.json() }
  }

  @Test func measurementsCanBeLeftOut() {
    var other = Self.record
    other.seconds = 99
    other.peakBytes = 1
    other.layers[0].seconds = 5
    other.blocks[0].seconds = 6
    #expect(other != Self.record)
    #expect(other.withoutMeasurements == Self.record.withoutMeasurements)
  }

  /// Means of 0.01, 0 and of 0.03, 0.01.
  @Test func meanErrors() {
    #expect(Self.record.meanErrors.after == 0.005)
    #expect(Self.record.meanErrors.rtn == 0.02)
  }

  @Test func summary() {
    #expect(
      TextReport.summary(Self.record, output: "out") == """
        size         4.0 KiB to 1.0 KiB
        bits/weight  4.50 in 2 quantized layers
        layer error  5.00e-03 on average; rounding to nearest 2.00e-02
        perplexity   5.250 to 5.500 on 630 tokens of t.txt
        warnings     in 1 layers; see the report
        time         12.2 s
        output       out

        """)
  }

  @Test func markdown() {
    let text = MarkdownReport.render(Self.record)
    #expect(text.contains("| layers.0.q | int4 group 32 | gptq | 4.00e-02 | 3.00e-02 | 1.00e-02 |"))
    #expect(text.hasSuffix("Warnings:\n\n- careful\n- layers.0.k: odd\n"))
  }

  @Test func namesCannotBecomeMarkup() {
    let page = HTMLReport.render(Self.record)
    #expect(page.contains("models/&lt;tiny&gt; &amp; &quot;co&quot;"))
    #expect(!page.contains("<tiny>"))
  }

  /// Values 0.01, 0.03 and 0.01 (the 0 has no mark): the axis runs from 1e-2 to 1e-1 over 440
  /// points from 300; 0.01 lies at 300, 0.03 at 300 + 440·log10(3) = 509.9.
  @Test func chartPlacesMarksOnALogarithmicAxis() {
    let svg = LayerErrorChart.render(Self.record.layers)
    #expect(svg.contains("<circle cx=\"300.0\" cy=\"43.0\" r=\"4\" fill=\"#1763a6\"/>"))
    #expect(svg.contains("<circle cx=\"509.9\" cy=\"43.0\" r=\"4.5\""))
    #expect(svg.components(separatedBy: "cy=\"61.0\"").count == 2)
    #expect(svg.contains(">1e-2</text>") && svg.contains(">1e-1</text>"))
  }

  @Test func anEmptyChartIsStillAPicture() {
    #expect(LayerErrorChart.render([]).hasPrefix("<svg "))
  }
}
