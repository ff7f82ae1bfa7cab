import Foundation
import HalftonePipeline
import HalftoneTokenizers
import HalftoneTestSupport
import Testing

@Suite struct CalibrationTests {
  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  /// A token a byte.
  struct Bytes: Tokenizer {
    var vocabularySize: Int { 256 }
    func encode(_ text: String, addingSpecialTokens: Bool) -> [Int] { text.utf8.map(Int.init) }
    func decode(_ ids: [Int], skippingSpecialTokens: Bool) -> String {
      String(decoding: ids.map { UInt8($0) }, as: UTF8.self)
    }
    func token(for id: Int) -> String? { nil }
    func id(for token: String) -> Int? { nil }
    var beginningOfText: Int? { nil }
    var endOfText: Int? { nil }
  }

  private func calibration(_ texts: [String], samples: Int, length: Int) throws -> Calibration {
    let files = try texts.enumerated().map { try scratch.write("\($0).txt", $1) }
    return try Calibration(
      files: files, size: CalibrationSize(samples: samples, length: length), tokenizer: Bytes())
  }

  @Test func samplesAreTheFirstTokensInOrder() throws {
    let result = try calibration(["abcdefgh", "ijklmnop"], samples: 3, length: 4)
    #expect(String(decoding: result.ids.map { UInt8($0) }, as: UTF8.self) == "abcdefghijklmnop")
    #expect(result.training == 0..<3)
    #expect(result.heldOut == 3..<4)
    #expect(result.heldOutIsSeparate)
    #expect(result.warnings.isEmpty)
  }

  @Test func withoutMoreTextTheLastSamplesJudge() throws {
    let result = try calibration(["abcdefgh"], samples: 2, length: 4)
    #expect(result.heldOut == 1..<2)
    #expect(!result.heldOutIsSeparate)
    #expect(result.warnings.count == 1)
  }

  /// One in sixteen, at least one, at most eight.
  @Test(arguments: [(1, 1), (16, 1), (32, 2), (128, 8), (1024, 8)])
  func heldOutCounts(_ samples: Int, _ expected: Int) {
    #expect(Calibration.heldOutCount(forSamples: samples) == expected)
  }

  @Test func tooLittleTextSaysHowMuchThereIs() throws {
    let error = #expect(throws: PipelineError.self) {
      try calibration(["abcdefghi"], samples: 3, length: 4)
    }
    #expect(error?.code == .badInput)
    #expect(
      error?.message
        == "the text has 9 tokens, and 3 samples of 4 take 12; give more text, or --samples 2")
  }

  @Test(arguments: ["", " \n\t "]) func emptyTextIsRefused(_ text: String) throws {
    let error = #expect(throws: PipelineError.self) {
      try calibration(["abcdefgh", text], samples: 1, length: 4)
    }
    #expect(error?.code == .badInput)
    #expect(error?.place.hasSuffix("1.txt") == true)
  }

  @Test func bytesThatAreNoTextAreFound() throws {
    let file = scratch.path + "/latin.txt"
    try Data([0x61, 0xC3, 0xA4, 0xE4, 0x62]).write(to: URL(fileURLWithPath: file))
    let error = #expect(throws: PipelineError.self) { try TextFile.read(file) }
    #expect(error?.code == .badInput)
    #expect(error?.message.contains("byte 3 fits no character") == true)
  }

  @Test func hashesNoticeEveryByte() {
    let data = Data((0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
    let hash = ContentHash.of(data)
    for position in [0, 1, 31, 32, 1 << 20, 2_999_999] {
      var changed = data
      changed[position] ^= 1
      #expect(ContentHash.of(changed) != hash)
    }
    #expect(ContentHash.of(data.dropLast()) != hash)
    #expect(ContentHash.of(data) == hash)
  }
}
