import HalftoneReport
public import HalftoneSchemes

/// What a recipe leaves open for a layer until the run has seen its numbers.
public struct SchemeChoice: Sendable, Equatable {
  /// Of several formats, in the recipe's order.
  public var schemes: [WeightScheme]
  /// Where the size of groups is open, too.
  public var groups: AdaptiveGroups?
  /// What each scheme loses, relative to the weights or to the outputs; empty where none were compared.
  public private(set) var errors: [Double] = []
  /// Whether the run has chosen.
  public private(set) var isSettled = false

  /// nil where nothing is open.
  init?(_ schemes: [WeightScheme], _ groups: AdaptiveGroups?) {
    guard schemes.count > 1 || groups != nil else { return nil }
    self.schemes = schemes
    self.groups = groups
  }

  /// Whether errors decide.
  var comparesFormats: Bool { schemes.count > 1 }

  mutating func settle(_ errors: [Double]) {
    self.errors = errors
    isSettled = true
  }

  /// For the report; nil where formats were not compared.
  var records: [LayerRecord.Choice]? {
    guard errors.count == schemes.count, errors.count > 1 else { return nil }
    return zip(schemes, errors).map { LayerRecord.Choice(format: $0.format.name, error: $1) }
  }

  /// As in plans: "e2m1 or int4 group 32 symmetric min-mse".
  var description: String {
    var grids: [String] = []
    for scheme in schemes where !grids.contains(scheme.grid) { grids.append(scheme.grid) }
    let range = schemes.first.map { " " + $0.range.rawValue } ?? ""
    return grids.joined(separator: " or ") + (groups == nil ? "" : " or larger groups") + range
  }
}
