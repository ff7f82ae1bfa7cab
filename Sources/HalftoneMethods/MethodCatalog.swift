/// The one list of all methods.
public enum MethodCatalog {
  public static let all: [any QuantizationMethod.Type] = [
    RoundToNearest.self, GPTQ.self, AdaRound.self, FlexRound.self,
    QDrop.self, BRECQ.self, PDQuant.self,
  ]
}
