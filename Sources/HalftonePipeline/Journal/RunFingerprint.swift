import Foundation

/// What a run's result depends on; a run is resumed only if none of it changed.
struct RunFingerprint: Codable, Equatable {
  var halftone: String
  /// How blocks are laid down in the journal; nil in runs of before it was counted.
  var journal: Int? = 2
  /// Hash of the model's weights, configuration and tokenizer.
  var model: String
  /// With every default written out.
  var recipe: String
  /// Hash of the texts; nil without.
  var calibration: String?
  var seed: UInt64
  var samples: Int
  var length: Int
  var allowUnmatched: Bool
  /// Recorded, because products of matrices differ in the last bit between them.
  var instructionSet: String
  var blas: String

  /// What differs from `other`, in words; empty if a run may go on.
  func differences(from other: RunFingerprint) -> [String] {
    var differences: [String] = []
    func compare(_ name: String, _ mine: some Equatable, _ theirs: some Equatable, _ same: Bool) {
      if !same { differences.append("\(name) (\(theirs) then, \(mine) now)") }
    }
    compare("version", halftone, other.halftone, halftone == other.halftone)
    if journal != other.journal { differences.append("the journal's layout") }
    if model != other.model { differences.append("the model's files") }
    if recipe != other.recipe { differences.append("the recipe") }
    if calibration != other.calibration { differences.append("the calibration text") }
    compare("seed", seed, other.seed, seed == other.seed)
    compare("samples", samples, other.samples, samples == other.samples)
    compare("length", length, other.length, length == other.length)
    if allowUnmatched != other.allowUnmatched { differences.append("--allow-unmatched") }
    compare(
      "instruction set", instructionSet, other.instructionSet,
      instructionSet == other.instructionSet)
    compare("BLAS", blas, other.blas, blas == other.blas)
    return differences
  }

  func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return try encoder.encode(self)
  }
}
