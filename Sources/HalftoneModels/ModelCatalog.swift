public import Foundation
public import HalftoneLayers

/// The one list of the model families that can be loaded.
public enum ModelCatalog {
  /// The known values of `model_type`.
  public static let modelTypes: [String] = LlamaConfiguration.Family.allCases.map(\.rawValue)

  /// The model that a config.json describes, over its weights.
  ///
  /// - Throws: ``ModelError`` for an unknown `model_type`, a configuration that makes no sense, or
  ///   one that the shapes in `weights` contradict; what `weights` throws.
  public static func model(
    configuration: Data, weights: any WeightSource
  ) throws -> any LanguageModel {
    try LlamaModel(LlamaConfiguration(configuration), weights: weights)
  }

  static func unknown(_ name: String?) -> ModelError {
    let found = name.map { "model_type \"\($0)\" is not supported" } ?? "model_type is missing"
    return ModelError("config.json: \(found); supported are \(modelTypes.joined(separator: ", "))")
  }
}
