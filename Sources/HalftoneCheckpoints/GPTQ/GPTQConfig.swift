/// The settings of a GPTQ checkpoint: how wide codes are, which columns share a scale, and what differs
/// in some modules.
public struct GPTQConfig: Sendable {
  /// How `qzeros` are stored.
  public enum Version: Sendable {
    /// Less one, as "gptq" and every file without a word on it.
    case one
    /// As they are, "gptq_v2".
    case two
  }

  /// How one module is quantized.
  public struct Settings: Sendable, Equatable {
    public var bits: Int
    /// Columns that share a scale; nil for all of a row.
    public var groupSize: Int?
    public var symmetric: Bool
  }

  /// A rule of `dynamic`: the first whose expression fits a module's beginning holds for it.
  struct Override: Sendable {
    let expression: String
    /// nil where the modules are not quantized.
    let settings: Settings?
  }

  public let version: Version
  public let settings: Settings
  let overrides: [Override]

  /// Reads `quantization_config`, or a `quantize_config.json`, found at `place`.
  init(_ value: JSONValue, _ place: String) throws(CheckpointError) {
    let format = value["checkpoint_format"] ?? value["format"]
    switch format?.string ?? "gptq" {
    case "gptq": version = .one
    case "gptq_v2": version = .two
    default:
      throw CheckpointError(
        .malformed,
        "\(place): checkpoint_format \(format?.serialized(indent: nil) ?? "") is not read; save the "
          + "model as gptq or gptq_v2")
    }
    settings = try Self.settings(value, nil, place)
    var overrides: [Override] = []
    for (key, change) in value["dynamic"]?.object?.pairs ?? [] {
      let skips = key.hasPrefix("-:")
      let expression = skips || key.hasPrefix("+:") ? String(key.dropFirst(2)) : key
      guard ModulePattern.isValid(expression) else {
        throw CheckpointError(
          .malformed,
          "\(place): dynamic: \"\(key)\" is no regular expression that is supported: repeat no "
            + "groups, and at most five times a character")
      }
      overrides.append(
        Override(
          expression: expression,
          settings: skips ? nil : try Self.settings(change, settings, "\(place): dynamic: \(key)")))
    }
    self.overrides = overrides
  }

  private static func settings(
    _ value: JSONValue, _ base: Settings?, _ place: String
  ) throws(CheckpointError) -> Settings {
    func malformed(_ key: String, _ need: String) -> CheckpointError {
      CheckpointError(
        .malformed,
        "\(place): \(key) \(value[key]?.serialized(indent: nil) ?? "is missing"); it must be \(need)"
      )
    }
    guard let bits = value["bits"] == nil ? base?.bits : value["bits"]?.int,
      [2, 3, 4, 8].contains(bits)
    else { throw malformed("bits", "2, 3, 4 or 8") }
    var group = base?.groupSize
    if let given = value["group_size"] {
      guard let size = given.int, size == -1 || size > 0 else {
        throw malformed("group_size", "-1 or above 0")
      }
      group = size == -1 ? nil : size
    } else if base == nil {
      throw malformed("group_size", "-1 or above 0")
    }
    guard let symmetric = value["sym"] == nil ? base?.symmetric ?? true : value["sym"]?.bool else {
      throw malformed("sym", "true or false")
    }
    return Settings(bits: bits, groupSize: group, symmetric: symmetric)
  }

  /// How `module` is quantized; nil where `dynamic` leaves it out.
  func settings(of module: String) -> Settings? {
    for override in overrides {
      // As Python's re.match, which does not ask for the end.
      let expression = try? Regex<AnyRegexOutput>(override.expression)
      if let expression, (try? expression.prefixMatch(in: module)) != nil {
        return override.settings
      }
    }
    return settings
  }
}
