import Foundation
public import HalftoneTokenizers

/// The tokens a run learns from and is judged by.
///
/// The texts are joined as they are, encoded once, and cut into samples in order.
public struct Calibration: Sendable {
  /// samples·length ids, one sample after another; held-out samples last.
  public let ids: [Int]
  public let length: Int
  public let training: Range<Int>
  public let heldOut: Range<Int>
  /// Hash of the texts.
  public let digest: UInt64
  public let files: [String]
  public let warnings: [String]

  public var sampleCount: Int { ids.count / length }
  public var heldOutIsSeparate: Bool { heldOut.lowerBound >= training.upperBound }

  /// How many samples judge a run that learns from `samples`: one in sixteen, one to eight.
  public static func heldOutCount(forSamples samples: Int) -> Int {
    min(8, max(1, samples / 16))
  }

  /// Reads and encodes `files`.
  ///
  /// - Throws: ``PipelineError`` for a file that is missing, empty or not UTF-8, and for too little
  ///   text, with the number of tokens there are.
  public init(files: [String], size: CalibrationSize, tokenizer: any Tokenizer) throws {
    var text = ""
    for file in files {
      let part = try TextFile.read(file)
      guard part.contains(where: { !$0.isWhitespace }) else {
        throw PipelineError(.badInput, "the calibration text is empty", at: file)
      }
      text += part
    }
    let wanted = size.samples * size.length
    let all = tokenizer.encode(text)
    guard all.count >= wanted else {
      throw PipelineError(
        .badInput,
        "the text has \(all.count) tokens, and \(size.samples) samples of \(size.length) take "
          + "\(wanted); give more text, or --samples \(max(1, all.count / size.length))",
        at: files.joined(separator: ", "))
    }
    self.files = files
    digest = ContentHash.of(Data(text.utf8))
    length = size.length
    training = 0..<size.samples
    let extra = min(Self.heldOutCount(forSamples: size.samples), all.count / length - size.samples)
    if extra > 0 {
      heldOut = size.samples..<size.samples + extra
      warnings = []
    } else {
      heldOut = size.samples - Self.heldOutCount(forSamples: size.samples)..<size.samples
      warnings = [
        "the calibration text has no tokens beyond the samples: errors are measured on samples "
          + "that were learned from; give more text for held-out figures"
      ]
    }
    ids = Array(all.prefix(heldOut.upperBound * length))
  }
}
