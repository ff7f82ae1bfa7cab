import ArgumentParser
import HalftonePipeline

struct PlanCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan",
    abstract: "Show what a recipe would do to a model, without doing it.",
    discussion: """
      Every layer with its scheme and bytes before and after; expected memory and time. No weights
      are read.

      Examples:
        halftone plan models/tiny --recipe gptq-w4a16
        halftone plan models/tiny --recipe my.yaml --json
      """)

  @Argument(help: "A Hugging Face directory, a .gguf file, or a llama2.c .bin file.")
  var model: String

  @OptionGroup var recipeOptions: RecipeOptions
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var common: CommonOptions

  func run() throws {
    threads.apply()
    let recipe = try Recipe.load(recipeOptions.recipe)
    let layout = try OpenedModel(path: model).layout()
    let size = CalibrationSize(
      samples: recipeOptions.samples ?? recipe.calibration.samples,
      length: recipeOptions.length ?? recipe.calibration.length)
    let plan = try Plan(
      recipe, for: layout, calibration: size, allowUnmatched: recipeOptions.allowUnmatched)
    let withText = plan.needsCalibration || !recipeOptions.calibration.isEmpty
    if let memory = recipeOptions.memory?.bytes { try plan.check(memory, withText) }
    if common.json {
      try StandardOutput.json(PlanDocument(plan, withCalibration: withText))
    } else {
      StandardOutput.write(plan.text(withCalibration: withText))
    }
  }
}
