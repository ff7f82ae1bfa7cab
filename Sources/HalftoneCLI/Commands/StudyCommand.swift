import ArgumentParser
import Foundation
import HalftonePipeline
import HalftoneReport
import HalftoneSchemes

struct StudyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "study", abstract: "Compare choices on a model's own tensors.",
    subcommands: [StudyFormatsCommand.self])
}

struct StudyFormatsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "formats",
    abstract: "Compare number formats by error and hardware cost.",
    discussion: """
      Every linear layer is rounded to every format; the table gives signal to noise, the error of \
      layer outputs if there is a text, the cost of a multiply-accumulate unit, and what no other \
      choice beats.

      Examples:
        halftone study formats models/tiny
        halftone study formats models/tiny --calibration text.txt --formats int4 fp4 nf4 nvfp4
        halftone study formats models/tiny --granularity tensor channel group-32 --output study
      """)

  @Argument(help: "A Hugging Face directory, a .gguf file, or a llama2.c .bin file.")
  var model: String

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("UTF-8 texts whose activations weigh the errors.", valueName: "file"))
  var calibration: [String] = []

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Number formats, as in a recipe's type. Default: some thirty.", valueName: "type"))
  var formats: [String] = FormatStudy.usualWords

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("tensor, channel or group-SIZE, one or more.", valueName: "granularity"))
  var granularity: [String] = ["channel"]

  @Option(
    help: "How ranges are found: \(RangeRule.allCases.map(\.rawValue).joined(separator: ", ")).")
  var range = "min-mse"

  @Option(help: "A directory for report.json, report.md and report.svg.")
  var output: String?

  @Flag(help: "Replace the reports at the output.")
  var overwrite = false

  @OptionGroup var threads: ThreadOptions
  @OptionGroup var common: CommonOptions

  func validate() throws {
    if RangeRule(rawValue: range) == nil { throw ValidationError("--range cannot be '\(range)'.") }
    for word in granularity where Self.granularity(word) == nil {
      throw ValidationError("--granularity cannot be '\(word)'; use tensor, channel or group-32.")
    }
  }

  func run() throws {
    threads.apply()
    let opened = try OpenedModel(path: model)
    var study = FormatStudy(choices: try choices())
    study.calibration = calibration
    let line = common.progress
    study.progress = { line.update("formats", $0) }
    if let output { try StudyOutput.check(output, overwriting: overwrite) }
    let record = try study(opened)
    line.clear()
    if let output { try StudyOutput.write(record, to: output) }
    if common.json { return try StandardOutput.json(record) }
    let table = TextTable.lines(
      FormatStudyText.header, FormatStudyText.rows(record), rightAligned: Set(2...9))
    (table + FormatStudyText.notes(record)).forEach(StandardOutput.line)
  }

  /// Every format with every granularity; those that settle theirs once.
  private func choices() throws -> [FormatStudy.Choice] {
    guard let range = RangeRule(rawValue: range) else { return [] }
    var choices: [FormatStudy.Choice] = []
    for word in formats {
      let settled = NumberFormats.blocks[word] != nil
      for granularity in settled ? ["channel"] : granularity {
        guard let granularity = Self.granularity(granularity) else { continue }
        do {
          choices.append(try FormatStudy.Choice(word, granularity, range: range))
        } catch {
          throw ValidationError("--formats: \(error.description).")
        }
      }
    }
    return choices
  }

  private static func granularity(_ word: String) -> Granularity? {
    switch word {
    case "tensor": return .tensor
    case "channel": return .channel
    default:
      guard word.hasPrefix("group-"), let size = Int(word.dropFirst(6)), size > 0 else {
        return nil
      }
      return .group(size)
    }
  }
}
