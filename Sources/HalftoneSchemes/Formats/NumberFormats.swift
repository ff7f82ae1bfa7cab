/// The formats by name.
public enum NumberFormats {
  /// Short words for the formats that files and papers use most.
  private static let special: [String: any NumberFormat] = [
    "fp8": FloatFormat.e4m3fn, "e4m3": FloatFormat.e4m3fn, "e5m2": FloatFormat.e5m2,
    "fp4": FloatFormat.e2m1, "nf4": NormalFloat(), "ternary": TernaryFormat(),
    "binary": BinaryFormat(), "olive4": OutlierVictimFormat(),
    "olive4-flint": OutlierVictimFormat(flint: true),
  ]

  /// A format with what goes with it by its definition.
  public struct BlockFormat: Sendable {
    /// A word that ``named(_:)`` knows.
    public let format: String
    /// Elements that share a scale.
    public let group: Int
    public let scales: ScaleFormat
  }

  /// The formats of the Microscaling specification, NVFP4, and NF4 as QLoRA has it.
  public static let blocks: [String: BlockFormat] = [
    "mxfp4": BlockFormat(format: "e2m1", group: 32, scales: .e8m0),
    "mxfp6": BlockFormat(format: "e2m3", group: 32, scales: .e8m0),
    "mxfp6-e3m2": BlockFormat(format: "e3m2", group: 32, scales: .e8m0),
    "mxfp8": BlockFormat(format: "e4m3fn", group: 32, scales: .e8m0),
    "mxfp8-e5m2": BlockFormat(format: "e5m2", group: 32, scales: .e8m0),
    "mxint8": BlockFormat(format: "int8", group: 32, scales: .e8m0),
    "nvfp4": BlockFormat(format: "e2m1", group: 16, scales: .e4m3),
    "nf4-double": BlockFormat(format: "nf4", group: 64, scales: .nested),
  ]

  /// Words that ``named(_:)`` knows, for messages.
  public static let words = [
    "int", "fp8", "fp4", "nf4", "e4m3", "e5m2", "e3m4", "e2m5", "e3m2", "e2m3", "e2m1", "e3m0",
    "ternary", "binary", "olive4", "log4", "ulog4", "twin-log4", "tan4",
  ]

  /// What to say of a word that stands for none.
  public static func unknown(_ word: String) -> SchemeError {
    SchemeError(
      "there is no number format '\(word)'; use int2 to int8, "
        + words.dropFirst().joined(separator: ", ") + ", for weights also "
        + blocks.keys.sorted().joined(separator: ", ") + " (Documentation/NumberFormats.md has all)"
    )
  }

  /// The format of a word: "int4", "fp8", "nf4", or of floats of any division, "e3m2", "e4m3fn", "e4m3b8fn".
  ///
  /// "e4m3" is another word for "e4m3fn", which files store; see ``FloatFormat/name``.
  public static func named(_ word: String) -> (any NumberFormat)? {
    if let format = special[word] { return format }
    if word.hasPrefix("int"), let bits = Int(word.dropFirst(3)) {
      return try? IntegerFormat(bits: bits)
    }
    if let format = curved(word) { return format }
    guard
      let parts = try? /e(\d)m(\d)(?:b(\d+))?(fn|ieee|fnuz|all)?/.wholeMatch(in: word)?.output,
      let exponent = Int(parts.1), let mantissa = Int(parts.2)
    else { return nil }
    // More digits than a number has.
    guard parts.3 == nil || parts.3.flatMap({ Int($0) }) != nil else { return nil }
    let kind = parts.4.map(String.init) ?? ""
    let specials = FloatFormat.Specials(rawValue: kind == "all" ? "" : kind) ?? .none
    return try? FloatFormat(
      exponentBits: exponent, mantissaBits: mantissa, bias: parts.3.flatMap { Int($0) },
      specials: specials)
  }

  /// "log4", "ulog4", "ulog4h", "twin-log4", "twin-log4-0.05", "tan4", "tan4-0.85".
  private static func curved(_ word: String) -> (any NumberFormat)? {
    let pattern = /(u?log|twin-log|tan)(\d)(h)?(?:-(\d+(?:\.\d+)?))?/
    guard let parts = try? pattern.wholeMatch(in: word)?.output, let bits = Int(parts.2) else {
      return nil
    }
    let (halfSteps, number) = (parts.3 != nil, parts.4.flatMap { Float($0) })
    switch (parts.1, halfSteps, number) {
    // A sign and powers of two: a float without mantissa.
    case ("log", false, nil): return try? FloatFormat(exponentBits: bits - 1, mantissaBits: 0)
    case ("ulog", _, nil): return try? UnsignedLog(bits: bits, halfSteps: halfSteps)
    case ("twin-log", false, _):
      return try? TwinLog(bits: bits, shift: number ?? TwinLog.usualShift)
    case ("tan", false, _):
      return try? TangentFormat(bits: bits, bend: number ?? TangentFormat.usualBend)
    default: return nil
    }
  }
}
