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
    /// The one name that the expression stands for, where it has the form that we write.
    let name: String?
    /// nil where the modules are not quantized.
    let settings: Settings?

    func covers(_ module: String) -> Bool {
      name.map { $0 == module } ?? ModulePattern.matches(expression, module)
    }
  }

  public let version: Version
  public let settings: Settings
  /// Whether groups may be in activation order; tools that are told otherwise pass over `g_idx`.
  let ordersColumns: Bool
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
    // Not said in older files, whose readers followed g_idx.
    ordersColumns = value["desc_act"]?.bool ?? true
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
          expression: expression, name: Self.name(expression),
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
    overrides.first { $0.covers(module) }.map(\.settings) ?? settings
  }

  /// The name between ^ and $ where nothing but its dots is special.
  private static func name(_ expression: String) -> String? {
    guard expression.hasPrefix("^"), expression.hasSuffix("$") else { return nil }
    let name = String(expression.dropFirst().dropLast()).replacing("\\.", with: ".")
    let isPlain = name.allSatisfy { $0.isLetter || $0.isNumber || $0 == "_" || $0 == "." }
    return isPlain && "^" + escaped(name) + "$" == expression ? name : nil
  }
}
