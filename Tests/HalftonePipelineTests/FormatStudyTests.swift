import Foundation
import HalftonePipeline
import HalftoneReport
import HalftoneSchemes
import HalftoneTestSupport
import Testing

/// `halftone study formats` on a real model.
@Suite struct FormatStudyTests {
  private func record(_ words: [String], _ granularity: Granularity = .channel) throws
    -> FormatStudyRecord
  {
    var study = FormatStudy(
      choices: try words.map { try FormatStudy.Choice($0, granularity, range: .minMSE) })
    study.calibration = [Fixture.text]
    study.size = CalibrationSize(samples: 2, length: 64)
    return try study(try OpenedModel(path: Fixture.model))
  }

  @Test func moreBitsGiveLessError() throws {
    let record = try record(["int3", "int4", "int6", "int8", "e2m1", "e2m3", "e3m2"])
    let lines = Dictionary(uniqueKeysWithValues: record.lines.map { ($0.format, $0) })
    let ratio = try ["int3", "int4", "int6", "int8"].map { try #require(lines[$0]).signalToNoise }
    #expect(ratio == ratio.sorted())
    // A bit is worth 6 dB.
    #expect(abs(ratio[3] - ratio[2] - 12) < 1.5)
    let errors = try ["int3", "int4", "int6", "int8"].map { try #require(lines[$0]?.outputError) }
    #expect(errors == errors.sorted(by: >))
    for line in record.lines {
      #expect(line.tensors.count == 35 && line.worstSignalToNoise <= line.signalToNoise)
      #expect(line.inputSignalToNoise ?? 0 > 0)
      let mean = line.tensors.reduce(0) { $0 + $1.signalToNoise } / 35
      #expect(abs(mean - line.signalToNoise) < 1e-9)
      let product = line.tensors.reduce(0) { $0 + log($1.outputError ?? 0) } / 35
      #expect(abs(exp(product) / (line.outputError ?? 0) - 1) < 1e-9)
    }
    // E1M2 would be an integer of a sign and three bits; E2M1 has as many bits per weight.
    #expect(lines["int4"]?.bitsPerWeight == lines["e2m1"]?.bitsPerWeight)
    #expect(record.bitsFront.contains { record.lines[$0].format == "int8" })
  }

  @Test func groupsThatDoNotDivideAreLeftOutAndSaidSo() throws {
    let record = try record(["mxfp4", "int4"])
    // The rows of down_proj have 172 columns.
    #expect(record.skippedLayers == ["mxfp4": 5])
    #expect(record.lines[0].tensors.count == 30 && record.lines[1].tensors.count == 35)
    #expect(FormatStudyText.notes(record).contains { $0.hasPrefix("mxfp4: 5 layers left out") })
    #expect(record.lines[0].bitsPerWeight == 4.25)
    #expect(record.lines[0].inputSignalToNoise == nil)
  }

  @Test func reportsHoldEveryLine() throws {
    let record = try record(["int4", "nf4", "e2m1"], .group(4))
    let rows = FormatStudyText.rows(record)
    #expect(rows.count == 3 && rows.allSatisfy { $0.count == FormatStudyText.header.count })
    #expect(rows[1][8] == "" && rows[0][8] != "")
    let markdown = FormatStudyText.markdown(record)
    #expect(record.lines.allSatisfy { markdown.contains("| \($0.format) | group 4 |") })
    let picture = FormatStudyText.picture(record)
    #expect(picture.hasPrefix("<svg") && picture.contains("nf4 group 4"))
    let scratch = try Scratch()
    let path = scratch.path + "/study"
    try StudyOutput.write(record, to: path)
    let data = try Data(contentsOf: URL(fileURLWithPath: path + "/report.json"))
    let read = try JSONDecoder().decode(FormatStudyRecord.self, from: data)
    #expect(read.lines.map(\.label) == record.lines.map(\.label))
    #expect(throws: PipelineError.self) { try StudyOutput.check(path, overwriting: false) }
    try StudyOutput.check(path, overwriting: true)
    #expect(throws: PipelineError.self) { try StudyOutput.check(scratch.path, overwriting: true) }
  }

  @Test func unknownFormatsAreNamed() {
    let error = #expect(throws: SchemeError.self) {
      try FormatStudy.Choice("fp5", .channel, range: .minMSE)
    }
    #expect(error?.description.contains("'fp5'") == true)
    #expect(throws: SchemeError.self) { try FormatStudy.Choice("ulog4", .channel, range: .minMSE) }
    #expect(throws: PipelineError.self) {
      try StudyOutput.check("/no/such/study", overwriting: false)
    }
  }
}
