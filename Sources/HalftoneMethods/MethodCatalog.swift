/// The one list of all methods.
public enum MethodCatalog {
  public static let all: [any QuantizationMethod.Type] = [
    RoundToNearest.self, GPTQ.self, QuantEase.self, AdaRound.self, FlexRound.self,
  ]
}
