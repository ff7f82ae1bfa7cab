public import HalftoneMethods
public import HalftoneSchemes
public import HalftoneTensor

/// What to do to a model: which grids, by which method, learned from how much text.
///
/// ```yaml
/// scheme:
///   weights: { bits: 4, group: 32 }
///   inputs:  { bits: 8, granularity: token, dynamic: true }
///   cache:   { type: fp8 }
///   ignore:  [ lm_head ]
/// overrides:
///   - targets: "layers.*.mlp.down_proj"
///     weights: { bits: 8 }
/// steps:
///   - gptq: { damping: 0.01 }
/// calibration: { samples: 128, length: 256 }
/// when-worse: keep
/// ```
public struct Recipe: Sendable {
  /// Its name or path, for messages.
  public var source: String
  /// What holds for every linear layer of a block that nothing else speaks of.
  public var scheme: SchemeFields
  /// How keys and values are rounded, their scales fixed by the calibration text; nil where not at all.
  public var cache: InputScheme?
  /// Modules that stay as they are.
  public var ignore: [ModulePattern]
  /// Later entries win over earlier ones.
  public var overrides: [Override]
  /// The parts to run, in order: transforms, one method, compensators.
  public var steps: [Step]
  public var calibration: CalibrationSize
  public var whenWorse: WhenWorse
  /// How methods that train multiply while they do.
  public var trainingPrecision: ProductPrecision

  /// Fields that replace those of the scheme for the modules that match.
  public struct Override: Sendable, Equatable {
    public var targets: [ModulePattern]
    public var fields: SchemeFields
  }

  /// A part with the parameters the recipe gives it.
  public struct Step: Sendable {
    public var part: any RecipeStep
    public var line: Int
    public var name: String { type(of: part).name }

    public init(part: any RecipeStep, line: Int = 0) {
      self.part = part
      self.line = line
    }
  }

  /// What changes the blocks before they are quantized.
  public var transforms: [any ModelTransform] {
    steps.compactMap { $0.part as? any ModelTransform }
  }

  /// Whether what it gives depends on the run's seed.
  public var usesSeed: Bool { steps.contains { type(of: $0.part).usesSeed } }

  /// What chooses the codes; a recipe that was read has it.
  public var method: (any QuantizationMethod)? {
    steps.lazy.compactMap { $0.part as? any QuantizationMethod }.first
  }

  /// What adds to the layers afterwards.
  public var compensators: [any Compensator] { steps.compactMap { $0.part as? any Compensator } }

  /// What to do with a layer whose error is larger than that of plain rounding.
  public enum WhenWorse: String, Sendable, CaseIterable, Codable {
    /// The layer stays as the method left it.
    case keep
    /// The layer is rounded to nearest instead.
    case roundToNearest = "round-to-nearest"
  }
}

/// How much text a method learns from.
public struct CalibrationSize: Sendable, Equatable, Codable {
  /// Sequences.
  public var samples = 128
  /// Tokens of each.
  public var length = 256

  public init(samples: Int = 128, length: Int = 256) {
    self.samples = samples
    self.length = length
  }
}
