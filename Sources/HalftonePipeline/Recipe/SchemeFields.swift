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
  /// "int", or a word of ``NumberFormats``.
  public var type: String?
  public var bits: Int?
  public var granularity: Granularity?
  public var symmetric: Bool?
  public var range: RangeRule?
  public var scales: ScaleFormat?
  /// Where bits and granularity were stated.
  public var bitsLine = 0
  public var granularityLine = 0

  var statesFormat: Bool { bits != nil || type.map { $0 != "int" } ?? false }

  func overlaid(with other: WeightFields) -> WeightFields {
    var result = self
    // A type settles the bits.
    if let type = other.type { (result.type, result.bits) = (type, nil) }
    if let bits = other.bits { (result.bits, result.bitsLine) = (bits, other.bitsLine) }
    if let granularity = other.granularity {
      (result.granularity, result.granularityLine) = (granularity, other.granularityLine)
    }
    result.symmetric = other.symmetric ?? symmetric
    result.range = other.range ?? range
    result.scales = other.scales ?? scales
    return result
  }

  /// The scheme, symmetric min-MSE per channel where nothing else is said; nil without a format.
  func scheme() throws(SchemeError) -> WeightScheme? {
    guard let format = try numberFormat(type, bits: bits, symmetric) else { return nil }
    return WeightScheme(
      format: format, granularity: granularity ?? .channel, symmetric: symmetric ?? true,
      range: range ?? .minMSE, scales: scales ?? .float)
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
    throw SchemeError("there is no number format '\(type)'")
  }
  guard bits == nil || bits == format.bits else {
    throw SchemeError(
      "type: \(type) has \(format.bits) bits, not \(bits ?? 0); leave bits out, or say type: int")
  }
  guard symmetric != false else {
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
  public var line = 0

  func overlaid(with other: InputFields) -> InputFields {
    var result = self
    if let type = other.type { (result.type, result.bits) = (type, nil) }
    result.bits = other.bits ?? result.bits
    result.granularity = other.granularity ?? granularity
    result.symmetric = other.symmetric ?? symmetric
    // A granularity alone settles whether the range is dynamic, see `scheme()`.
    result.dynamic = other.dynamic ?? (other.granularity == nil ? dynamic : nil)
    result.line = other.line
    return result
  }

  /// The scheme, symmetric and dynamic per token where nothing else is said; nil without a format.
  func scheme() throws(SchemeError) -> InputScheme? {
    guard let format = try numberFormat(type, bits: bits, symmetric) else { return nil }
    let granularity = granularity ?? (dynamic == false ? .tensor : .token)
    return InputScheme(
      format: format, granularity: granularity,
      symmetric: symmetric ?? true, dynamic: dynamic ?? (granularity == .token))
  }
}
