/// What a run is asked to do.
public struct QuantizationOptions: Sendable {
  /// A Hugging Face directory or a llama2.c file.
  public var model: String
  public var recipe: Recipe
  /// Texts to learn from; empty where the weights alone are enough.
  public var calibration: [String] = []
  /// In place of the recipe's.
  public var samples: Int?
  public var length: Int?
  public var output: String
  public var format = OutputFormat.compressedTensors
  public var seed: UInt64 = 0
  /// Bytes the run may take; refused beforehand if it is expected to take more.
  public var memory: Int?
  public var resume = false
  public var overwrite = false
  public var allowUnmatched = false

  public init(model: String, recipe: Recipe, output: String) {
    self.model = model
    self.recipe = recipe
    self.output = output
  }

  var calibrationSize: CalibrationSize {
    CalibrationSize(
      samples: samples ?? recipe.calibration.samples, length: length ?? recipe.calibration.length)
  }
}

/// What a run writes.
public enum OutputFormat: String, Sendable, CaseIterable {
  /// A directory.
  case compressedTensors = "compressed-tensors"
  /// One file.
  case gguf
}

/// How far a run has come.
public struct RunProgress: Sendable {
  /// What is being done, such as "block 3 of 8".
  public var phase: String
  /// Of the whole run, 0 to 1.
  public var fraction: Double
  public var loss: Float?

  public init(phase: String, fraction: Double, loss: Float? = nil) {
    self.phase = phase
    self.fraction = fraction
    self.loss = loss
  }
}
