import Foundation
import HalftoneEvaluation
import HalftonePipeline
import HalftoneTokenizers

/// Perplexity as the evaluate command measures it, for runs that want it before and after.
enum PerplexityMeasurement {
  static func of(_ file: String, context: Int) throws -> QuantizationRun.Measurement {
    let text = try TextFile.read(file)
    return QuantizationRun.Measurement(text: file, context: context) { model, tokenizer in
      let result = try Perplexity.evaluate(
        model, ids: tokenizer.encode(text), options: PerplexityOptions(context: context))
      return (result.tokens, result.perplexity)
    }
  }
}
