public import HalftoneSchemes

/// The fields of a scheme that a recipe states; the others come from what it overrides.
public struct SchemeFields: Sendable, Equatable {
  public var weights: Part<WeightFields>
  public var inputs: Part<InputFields>

  public init(weights: Part<WeightFields> = .unstated, inputs: Part<InputFields> = .unstated) {
    self.weights = weights
    self.inputs = inputs
  }

  /// What a recipe says about the weights or about the inputs.
  public enum Part<Fields: Sendable & Equatable>: Sendable, Equatable {
    case unstated
    /// `none`: left as they are.
    case none
    case fields(Fields)
  }

  /// These fields, with those of `other` in their place where stated.
  func overlaid(with other: SchemeFields) -> SchemeFields {
    SchemeFields(
      weights: weights.overlaid(with: other.weights) { $0.overlaid(with: $1) },
      inputs: inputs.overlaid(with: other.inputs) { $0.overlaid(with: $1) })
  }
}

extension SchemeFields.Part {
  func overlaid(with other: Self, _ merge: (Fields, Fields) -> Fields) -> Self {
    switch (self, other) {
    case (_, .unstated): self
    case (.fields(let base), .fields(let top)): .fields(merge(base, top))
    default: other
    }
  }
}

/// What a recipe states about weights.
public struct WeightFields: Sendable, Equatable {
  /// "int", or a word of ``NumberFormats``, with or without groups of its own.
  public var type: String?
  /// Other types that a run may choose for a layer.
  public var alternatives: [String] = []
  public var bits: Int?
  /// With ``adaptiveThreshold``, groups of the least size.
  public var granularity: Granularity?
  /// α of ``AdaptiveGroups``, where the run chooses the size of groups for a layer.
  public var adaptiveThreshold: Float?
  public var symmetric: Bool?
  public var range: RangeRule?
  public var scales: ScaleFormat?
  /// Where type or bits and granularity were stated.
  public var bitsLine = 0
  public var granularityLine = 0
  /// Where the groups were stated, or else the format.
  var groupsLine: Int { granularityLine > 0 ? granularityLine : bitsLine }
  /// What this scheme states wrongly over the one it overrides.
  public var conflict: String?

  /// Whether a type has groups of its own.
  var settlesGroups: Bool {
    ([type].compactMap { $0 } + alternatives).contains { NumberFormats.blocks[$0] != nil }
  }

  var statesFormat: Bool { bits != nil || type.map { $0 != "int" } ?? false }

  func overlaid(with other: WeightFields) -> WeightFields {
    var result = self
    // What a later override states anew is judged anew.
    if other.type != nil || other.bits != nil { result.conflict = nil }
    if let changed = other.type {
      // Another type settles the bits.
      if changed != type ?? "int" {
        (result.bits, result.bitsLine) = (nil, other.bitsLine)
        if changed == "int", other.bits == nil {
          result.conflict = "type: int needs 'bits' where the others are \(type ?? "int")"
        }
      }
      (result.type, result.alternatives) = (changed, other.alternatives)
    } else if let type, settlesGroups, other.granularity != nil || other.scales != nil {
      result.conflict = "type: \(type) settles granularity and scales; state another type with them"
    }
    if let bits = other.bits { (result.bits, result.bitsLine) = (bits, other.bitsLine) }
    if let granularity = other.granularity {
      (result.granularity, result.granularityLine) = (granularity, other.granularityLine)
      result.adaptiveThreshold = other.adaptiveThreshold
    }
    result.symmetric = other.symmetric ?? symmetric
    result.range = other.range ?? range
    result.scales = other.scales ?? scales
    return result
  }

  /// The schemes of all types, among which a run chooses; none without a format.
  func schemes() throws(SchemeError) -> [WeightScheme] {
    guard let first = try scheme() else { return [] }
    var schemes = [first]
    for word in alternatives {
      var fields = self
      fields.type = word
      guard let scheme = try fields.scheme() else { throw NumberFormats.unknown(word) }
      guard scheme.format.bits == first.format.bits else {
        throw SchemeError(
          "type: \(word) has \(scheme.format.bits) bits and \(first.format.name) has "
            + "\(first.format.bits); a choice is between formats of as many bits")
      }
      schemes.append(scheme)
    }
    return schemes
  }

  /// The scheme, symmetric min-MSE per channel where nothing else is said; nil without a format.
  func scheme() throws(SchemeError) -> WeightScheme? {
    if let conflict { throw SchemeError(conflict) }
    let block = type.flatMap { NumberFormats.blocks[$0] }
    guard let format = try numberFormat(block?.format ?? type, bits: bits, symmetric) else {
      return nil
    }
    guard format.extent.low < 0 else {
      throw SchemeError(
        "type: \(format.name) has no negative numbers; use it for inputs that have none")
    }
    let scales = block?.scales ?? scales ?? .float
    guard scales == .float || !(format is OutlierVictimFormat) else {
      throw SchemeError("type: \(format.name) has scales of its own; leave scales out")
    }
    guard symmetric != false || scales == .float || scales == .rowIntegers else {
      throw SchemeError("scales: \(scales.rawValue) has no zero points; leave symmetric out")
    }
    return WeightScheme(
      format: format, granularity: block.map { .group($0.group) } ?? granularity ?? .channel,
      symmetric: symmetric ?? true, range: range ?? .minMSE, scales: scales)
  }
}

/// The format that a recipe states; nil for integers without bits.
private func numberFormat(
  _ type: String?, bits: Int?, _ symmetric: Bool?
) throws(SchemeError) -> (any NumberFormat)? {
  guard let type, type != "int" else {
    guard let bits else { return nil }
    return try IntegerFormat(bits: bits)
  }
  guard let format = NumberFormats.named(type) else {
    throw NumberFormats.unknown(type)
  }
  guard bits == nil || bits == format.bits else {
    throw SchemeError(
      "type: \(type) has \(format.bits) bits, not \(bits ?? 0); leave bits out, or say type: int")
  }
  guard symmetric != false || format is IntegerFormat else {
    throw SchemeError("type: \(type) has no zero points; leave symmetric out")
  }
  return format
}

/// What a recipe states about the inputs of layers.
public struct InputFields: Sendable, Equatable {
  /// "int", or a word of ``NumberFormats``.
  public var type: String?
  public var bits: Int?
  public var granularity: Granularity?
  public var symmetric: Bool?
  public var dynamic: Bool?
  public var outlierThreshold: Float?
  public var line = 0
  /// Whether integers took the place of another type without saying of how many bits.
  public var lacksBits = false

  func overlaid(with other: InputFields) -> InputFields {
    var result = self
    if let changed = other.type {
      if changed != type ?? "int" { (result.bits, result.lacksBits) = (nil, changed == "int") }
      result.type = changed
    }
    if let bits = other.bits { (result.bits, result.lacksBits) = (bits, false) }
    result.granularity = other.granularity ?? granularity
    result.symmetric = other.symmetric ?? symmetric
    // A granularity alone settles whether the range is dynamic, see `scheme()`.
    result.dynamic = other.dynamic ?? (other.granularity == nil ? dynamic : nil)
    result.outlierThreshold = other.outlierThreshold ?? outlierThreshold
    result.line = other.line
    return result
  }

  /// The scheme, symmetric and dynamic per token where nothing else is said; nil without a format.
  func scheme() throws(SchemeError) -> InputScheme? {
    guard !lacksBits else { throw SchemeError("inputs: type: int needs 'bits'") }
    guard let format = try numberFormat(type, bits: bits, symmetric) else { return nil }
    guard !(format is OutlierVictimFormat) else {
      throw SchemeError("inputs: type: \(format.name) is for weights alone")
    }
    let granularity = granularity ?? (dynamic == false ? .tensor : .token)
    let isDynamic = dynamic ?? (granularity == .token)
    guard outlierThreshold == nil || isDynamic else {
      throw SchemeError("inputs: outlier-threshold needs granularity: token")
    }
    return InputScheme(
      format: format, granularity: granularity, symmetric: symmetric ?? true, dynamic: isDynamic,
      outlierThreshold: outlierThreshold)
  }
}
