import Foundation
import HalftoneCheckpoints
import HalftoneLayers
import HalftonePipeline
import HalftoneSchemes
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Files that are converted into each other in a folder of their own.
struct ConversionFiles {
  static let golden = Repository.path("Tests/HalftoneCheckpointsTests/Golden")

  let scratch: Scratch

  init() throws { scratch = try Scratch() }

  static func logits(
    _ model: any LanguageModel, _ ids: [Int], batch: Int = 1
  ) throws -> [Float] {
    let context = model.context(batch: batch, length: ids.count / batch, start: 0)
    var hidden = try model.embed(ids)
    for index in 0..<model.blockCount { hidden = try model.block(index)(hidden, context) }
    return try model.logits(hidden).values
  }

  /// stories260k does not have rows of whole words everywhere; books-7m has.
  func quantized(
    _ weights: String, inputs: String = "", model: String = "books-7m"
  ) throws -> String {
    let recipe = try Recipe(
      yaml: """
        scheme:
          weights: { \(weights), range: min-max }
          \(inputs)
        steps: [ rtn ]
        """, source: "test")
    let options = QuantizationOptions(
      model: Repository.path("Resources/models/" + model), recipe: recipe,
      output: scratch.path + "/source")
    _ = try QuantizationRun(options)()
    return options.output
  }

  func convert(
    _ path: String, _ target: FormatConversion.Target, _ type: ElementType? = nil, to name: String
  ) throws -> [String] {
    let conversion = try FormatConversion(OpenedModel.store(path), to: target, type: type)
    _ = try conversion.write(to: "\(scratch.path)/\(name)")
    return conversion.notices
  }

  func store(_ name: String) throws -> Checkpoint {
    try Checkpoint(path: "\(scratch.path)/\(name)")
  }

  /// The modules `dense` have codes in `a` alone.
  func expectSameCodes(
    _ a: Checkpoint, _ b: Checkpoint, besides dense: [String] = [],
    _ location: SourceLocation = #_sourceLocation
  ) throws {
    let modules = try a.quantizedModules().filter { !dense.contains($0) }
    #expect(!modules.isEmpty, sourceLocation: location)
    #expect(try b.quantizedModules() == modules, sourceLocation: location)
    for module in modules {
      guard case .quantized(let one) = try a.linearWeight(module),
        case .quantized(let other) = try b.linearWeight(module)
      else {
        Issue.record("\(module) has no codes", sourceLocation: location)
        continue
      }
      #expect(one.codes.hasSameBits(as: other.codes), "\(module)", sourceLocation: location)
      #expect(one.format.name == other.format.name, sourceLocation: location)
    }
  }
}
