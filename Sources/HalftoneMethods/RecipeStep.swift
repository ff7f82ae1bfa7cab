public import HalftoneSchemes

/// A part that the `steps` of a recipe can name, with its hyperparameters as stored properties.
///
/// The recipe's step `name: { key: value }` is decoded over the defaults of `init()`; the coding keys
/// are the words of the recipe.
public protocol RecipeStep: Codable, Sendable {
  /// The recipe's word.
  static var name: String { get }
  /// One sentence on what it does.
  static var summary: String { get }
  /// Authors, title, venue, link.
  static var citation: String { get }
  /// Whether it must see activations; without, the weights alone are enough.
  static var needsCalibration: Bool { get }
  /// Whether what it gives depends on the run's seed.
  static var usesSeed: Bool { get }
  /// The paper's or the project's defaults.
  init()
  /// Whether it must see activations with the hyperparameters it has.
  var learnsFromText: Bool { get }
  /// Checks the hyperparameters, and that a layer [rows, columns] with this scheme can be served.
  func validate(_ scheme: LayerScheme, rows: Int, columns: Int) throws
  /// The bytes that it adds to a layer [rows, columns] besides codes, scales and zero points.
  func extraBytes(_ scheme: LayerScheme, rows: Int, columns: Int) -> Int
}

extension RecipeStep {
  public static var needsCalibration: Bool { false }
  public static var usesSeed: Bool { false }
  public var learnsFromText: Bool { Self.needsCalibration }
  public func validate(_ scheme: LayerScheme, rows: Int, columns: Int) throws {}
  public func extraBytes(_ scheme: LayerScheme, rows: Int, columns: Int) -> Int { 0 }
}
