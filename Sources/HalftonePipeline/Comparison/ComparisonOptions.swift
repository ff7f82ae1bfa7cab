/// What a comparison of recipes is asked to do.
public struct ComparisonOptions: Sendable {
  /// The original: a Hugging Face directory or a llama2.c file.
  public var model: String
  public var recipes: [Recipe]
  /// Texts to learn from; empty where the weights alone are enough for all recipes.
  public var calibration: [String] = []
  /// In place of the recipes'.
  public var samples: Int?
  public var length: Int?
  /// The text to predict.
  public var text: String
  public var context = 512
  /// Only the first so many windows of the text.
  public var windows: Int?
  public var seeds: [UInt64] = [0]
  /// The directory in which everything measured is kept.
  public var output: String
  /// Use what is measured already, and go on with what is unfinished.
  public var resume = false
  /// Forget it.
  public var overwrite = false
  /// Leave the quantized models in the output.
  public var keep = false
  /// Threads of each run: seconds are comparable only between runs with as many.
  public var threads = 1

  public init(model: String, recipes: [Recipe], text: String, output: String) {
    self.model = model
    self.recipes = recipes
    self.text = text
    self.output = output
  }

  /// What tables call the recipes: their names without folder and ending where that is unique.
  public var labels: [String] {
    let short = recipes.map { Self.stem($0.source) }
    return recipes.indices.map { index in
      short.count { $0 == short[index] } == 1 ? short[index] : recipes[index].source
    }
  }

  static func stem(_ source: String) -> String {
    let name = source.split(separator: "/").last.map(String.init) ?? source
    for ending in [".yaml", ".yml"] where name.hasSuffix(ending) && name.count > ending.count {
      return String(name.dropLast(ending.count))
    }
    return name
  }
}
