/// The one list of all parts that a recipe's `steps` can name.
public enum MethodCatalog {
  /// The methods, of which a recipe names exactly one.
  public static let all: [any QuantizationMethod.Type] = [
    RoundToNearest.self, GPTQ.self, QuantEase.self, AdaRound.self, FlexRound.self, LRQ.self,
    SignRound.self, AdaQuant.self, BRECQ.self, QDrop.self, PDQuant.self, CBQ.self, DiscQuant.self,
    DualGrained.self,
  ]

  /// What may come before the method.
  public static let transforms: [any ModelTransform.Type] = [
    TruncateOutliers.self, InjectOutliers.self, PercentileSmoothing.self,
  ]

  /// What may come after it.
  public static let compensators: [any Compensator.Type] = [LoRC.self, BiasCorrection.self]

  public static var steps: [any RecipeStep.Type] { transforms + all + compensators }
}
