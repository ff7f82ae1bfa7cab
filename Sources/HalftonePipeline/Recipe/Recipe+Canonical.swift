public import HalftoneMethods
import HalftoneSchemes
import HalftoneTensor

extension Recipe {
  /// The recipe with every default written out, the same text for recipes that mean the same.
  ///
  /// It is YAML that reads back as this recipe, and what tells a resumed run that nothing changed.
  public var canonicalText: String {
    var lines = ["scheme:"] + scheme.canonicalLines(isBase: true).map { "  \($0)" }
    if let cache {
      let fields = cache.format is IntegerFormat ? "type: int, bits: 8" : "type: fp8"
      lines.append("  cache: { \(fields) }")
    }
    if !ignore.isEmpty { lines.append("  ignore: \(Self.quoted(ignore))") }
    if !overrides.isEmpty { lines.append("overrides:") }
    for override in overrides {
      lines.append("  - targets: \(Self.quoted(override.targets))")
      lines += override.fields.canonicalLines(isBase: false).map { "    \($0)" }
    }
    lines.append("steps:")
    for step in steps {
      lines.append("  - \(step.name): \(Self.parameters(step.part))")
    }
    lines.append(
      "calibration: { samples: \(calibration.samples), length: \(calibration.length) }")
    lines.append("when-worse: \(whenWorse.rawValue)")
    // Left out where it is the default, so that runs recorded before the key was there go on.
    if trainingPrecision != .float32 {
      lines.append("training-precision: \(trainingPrecision.rawValue)")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func quoted(_ patterns: [ModulePattern]) -> String {
    "[ \(patterns.map { quoted($0.text) }.joined(separator: ", ")) ]"
  }

  /// A double-quoted YAML scalar.
  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0x22: result += "\\\""
      case 0x5C: result += "\\\\"
      case 0..<0x10: result += "\\x0" + String(scalar.value, radix: 16)
      case 0x10..<0x20, 0x7F..<0xA0: result += "\\x" + String(scalar.value, radix: 16)
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }

  /// The parameters of a step as a recipe would state them.
  public static func parameters(of step: any RecipeStep) throws -> [String: String] {
    try RecipeValue.fields(of: step).mapValues(\.canonicalText)
  }

  private static func parameters(_ step: any RecipeStep) -> String {
    RecipeValue.object((try? RecipeValue.fields(of: step)) ?? [:]).canonicalText
  }
}

extension SchemeFields {
  fileprivate func canonicalLines(isBase: Bool) -> [String] {
    var lines: [String] = []
    switch weights {
    case .unstated: break
    case .none: lines.append("weights: none")
    case .fields(let fields):
      lines.append("weights: \(Self.map(fields.canonicalFields(isBase: isBase)))")
    }
    switch inputs {
    case .unstated: break
    case .none: lines.append("inputs: none")
    case .fields(let fields):
      lines.append("inputs: \(Self.map(fields.canonicalFields(isBase: isBase)))")
    }
    return lines
  }

  private static func map(_ fields: [(String, String?)]) -> String {
    let stated = fields.compactMap { key, value in value.map { "\(key): \($0)" } }
    return "{ \(stated.joined(separator: ", ")) }"
  }
}

extension WeightFields {
  /// What is stated; of the scheme that others override the type even if it is not.
  fileprivate func canonicalFields(isBase: Bool) -> [(String, String?)] {
    var group: String?
    if case .group(let size) = granularity { group = "\(size)" }
    let isAdaptive = adaptiveThreshold != nil
    let word = group == nil ? granularity.map { "\($0)" } : isAdaptive ? "adaptive" : "group"
    let types = ([type].compactMap { $0 } + alternatives).joined(separator: ", ")
    return [
      ("type", alternatives.isEmpty ? type ?? (isBase ? "int" : nil) : "[ \(types) ]"),
      ("bits", bits.map { "\($0)" }), ("granularity", word), ("group", group),
      ("threshold", adaptiveThreshold.map { "\($0)" }),
      ("symmetric", symmetric.map { "\($0)" }), ("range", range?.rawValue),
      ("scales", scales?.rawValue),
    ]
  }
}

extension InputFields {
  fileprivate func canonicalFields(isBase: Bool) -> [(String, String?)] {
    [
      ("type", type ?? (isBase ? "int" : nil)), ("bits", bits.map { "\($0)" }),
      ("granularity", granularity.map { "\($0)" }), ("dynamic", dynamic.map { "\($0)" }),
      ("symmetric", symmetric.map { "\($0)" }),
      ("outlier-threshold", outlierThreshold.map { "\($0)" }),
    ]
  }
}
