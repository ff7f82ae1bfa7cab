import HalftoneSchemes

/// The `quantization_config` of compressed-tensors: which modules are quantized, and how.
public struct CompressedTensorsConfig: Sendable {
  /// One entry of `config_groups`.
  public struct Group: Sendable {
    public let name: String
    let matchers: ModuleMatchers
    public var targets: [String] { matchers.all }
    public let weights: QuantizationArguments?
    public let inputs: QuantizationArguments?
    /// The group's own format; the top-level one holds where it is nil.
    public let format: String?
  }

  /// Who reads the checkpoint.
  public enum Method: String, Sendable {
    case compressedTensors = "compressed-tensors"
    /// The same layout with tensors beside it that other tools would pass over.
    case halftone

    /// What packed codes are called.
    ///
    /// All codes of `.halftone` are packed and under the name of the
    /// dense weight, whose shape they do not have, so that a tool that passes over the method stops.
    var codesName: String { self == .halftone ? "weight" : "weight_packed" }
  }

  public let method: Method
  public let format: String
  public let groups: [Group]
  /// How keys and values are quantized.
  public let cache: QuantizationArguments?
  private let ignored: ModuleMatchers
  public var ignore: [String] { ignored.all }

  /// Reads the configuration of a `config.json`; nil if the model is not quantized.
  ///
  /// - Throws: `CheckpointError.Code.malformed` for other tools' formats and for broken ones.
  init?(_ config: JSONValue, path: String) throws(CheckpointError) {
    let place = "\(path)/config.json: quantization_config"
    guard let value = config["quantization_config"], !value.isNull else { return nil }
    guard value.object != nil else { throw CheckpointError(.malformed, "\(place) is no object") }
    guard let method = value["quant_method"]?.string.flatMap(Method.init) else {
      throw CheckpointError(
        .malformed,
        "\(place): quant_method \(value["quant_method"]?.serialized(indent: nil) ?? "is missing")"
          + " is not read; use a compressed-tensors or an unquantized checkpoint")
    }
    self.method = method
    format = value["format"]?.string ?? "dense"
    cache = try QuantizationArguments(value["kv_cache_scheme"], "\(place): kv_cache_scheme")
    ignored = ModuleMatchers(try Self.matchers(value["ignore"], "\(place): ignore"))
    var groups: [Group] = []
    for (name, group) in value["config_groups"]?.object?.pairs ?? [] {
      // Older files name a group after its preset and list its targets only.
      guard group.object != nil else {
        throw CheckpointError(.malformed, "\(place): group \(name) is no object")
      }
      groups.append(
        Group(
          name: name,
          matchers: ModuleMatchers(
            try Self.matchers(group["targets"], "\(place): \(name): targets")),
          weights: try QuantizationArguments(group["weights"], "\(place): \(name): weights"),
          inputs: try QuantizationArguments(
            group["input_activations"], "\(place): \(name): input_activations"),
          format: group["format"]?.string))
    }
    self.groups = groups
  }

  private static func matchers(
    _ value: JSONValue?, _ place: String
  ) throws(CheckpointError) -> [String] {
    guard let value, !value.isNull else { return [] }
    var result: [String] = []
    for element in value.array ?? [.null] {
      guard let matcher = element.string else {
        throw CheckpointError(.malformed, "\(place): not a list of strings")
      }
      if let pattern = ModulePattern.expression(matcher) {
        guard ModulePattern.isValid(pattern) else {
          throw CheckpointError(
            .malformed,
            "\(place): \"\(matcher)\" is no regular expression that is supported: "
              + "repeat no groups, and at most five times a character")
        }
      }
      result.append(matcher)
    }
    return result
  }

  /// The group that the linear layer `module` belongs to; nil where it is not quantized.
  ///
  /// `ignore` comes first; then an exact name is preferred to an expression, and that to a class.
  public func group(of module: String) -> Group? {
    if ignored.rank(module) != nil { return nil }
    var best: (rank: Int, group: Group)?
    for group in groups {
      guard let rank = group.matchers.rank(module) else { continue }
      if best.map({ rank < $0.rank }) ?? true { best = (rank, group) }
    }
    return best?.group
  }
}

/// How one kind of tensor is quantized.
public struct QuantizationArguments: Sendable, Equatable {
  public let bits: Int
  /// "int" or "float"; in Halftone's own format also the name of another number format.
  public let type: String
  public let symmetric: Bool
  public let strategy: String
  public let groupSize: Int?
  public let isDynamic: Bool
  /// What the scales are stored as, "torch.uint8"; nil where that is not said.
  public let scaleType: String?
  /// Of inputs in Halftone's own format: ``InputScheme/outlierThreshold``.
  public let outlierThreshold: Float?

  init?(_ value: JSONValue?, _ place: String) throws(CheckpointError) {
    guard let value, !value.isNull else { return nil }
    func malformed(_ key: String) -> CheckpointError {
      CheckpointError(
        .malformed, "\(place): \(key) \(value[key]?.serialized(indent: nil) ?? "") is not valid")
    }
    guard value.object != nil else { throw CheckpointError(.malformed, "\(place) is no object") }
    guard let bits = Self.given(value["num_bits"]) == nil ? 8 : value["num_bits"]?.int,
      (1...32).contains(bits)
    else { throw malformed("num_bits") }
    self.bits = bits
    type = value["type"]?.string ?? "int"
    guard ["int", "float"].contains(type) || NumberFormats.named(type) != nil else {
      throw malformed("type")
    }
    guard let symmetric = Self.given(value["symmetric"]) == nil ? true : value["symmetric"]?.bool
    else { throw malformed("symmetric") }
    self.symmetric = symmetric
    let group = Self.given(value["group_size"])
    guard group == nil || group?.int.map({ $0 == -1 || $0 > 0 }) == true else {
      throw malformed("group_size")
    }
    groupSize = group?.int.flatMap { $0 > 0 ? $0 : nil }
    let inferred = group == nil ? "tensor" : groupSize == nil ? "channel" : "group"
    guard let strategy = Self.given(value["strategy"]) == nil ? inferred : value["strategy"]?.string
    else { throw malformed("strategy") }
    guard strategy != "group" || groupSize != nil else { throw malformed("group_size") }
    self.strategy = strategy
    guard Self.given(value["scale_dtype"]).map({ $0.string != nil }) ?? true else {
      throw malformed("scale_dtype")
    }
    scaleType = value["scale_dtype"]?.string
    let threshold = Self.given(value["outlier_threshold"])
    outlierThreshold = threshold?.double.map { Float($0) }
    guard threshold == nil || outlierThreshold.map({ $0 > 0 && $0.isFinite }) == true else {
      throw malformed("outlier_threshold")
    }
    switch Self.given(value["dynamic"]) {
    case nil, .bool(false): isDynamic = false
    // "local": scales of groups are dynamic, the one beside them is not.
    case .bool(true), .string("local"): isDynamic = true
    default: throw malformed("dynamic")
    }
  }

  private static func given(_ value: JSONValue?) -> JSONValue? {
    value.flatMap { $0.isNull ? nil : $0 }
  }

  /// The scheme of a weight quantized so; the range rule is not stored.
  func weightScheme(_ place: String) throws(CheckpointError) -> WeightScheme {
    let granularity: Granularity
    switch (strategy, groupSize) {
    case ("tensor", _): granularity = .tensor
    case ("channel", _): granularity = .channel
    case ("group", let size?), ("tensor_group", let size?): granularity = .group(size)
    default: throw unsupported(place)
    }
    let scheme = WeightScheme(
      format: try format(place), granularity: granularity, symmetric: symmetric, range: .minMax,
      scales: scales)
    // Floats in groups have one of the layouts that the library knows.
    guard type != "float" || FloatLayout(scheme, nil) != nil else { throw unsupported(place) }
    return scheme
  }

  private var scales: ScaleFormat {
    if strategy == "tensor_group" { return .e4m3 }
    if let scaleType, let format = ScaleFormat.allCases.first(where: { $0.typeName == scaleType }) {
      return format
    }
    // Older files leave the type out; floats of 4 and 6 bits in groups have no other.
    return type == "float" && bits < 8 && strategy == "group" ? .e8m0 : .float
  }

  func inputScheme(_ place: String) throws(CheckpointError) -> InputScheme {
    if isDynamic, symmetric, let size = groupSize, scales != .float {
      let scheme = InputScheme(
        format: try format(place), granularity: .group(size), symmetric: true, dynamic: true,
        scales: scales)
      // The groups in which weights of these formats are stored, too.
      let weights = WeightScheme(
        format: scheme.format, granularity: scheme.granularity, range: .minMax, scales: scales)
      guard FloatLayout(weights, nil) != nil else { throw unsupported(place) }
      return scheme
    }
    guard strategy == "token" && isDynamic || strategy == "tensor" else {
      throw unsupported(place)
    }
    return InputScheme(
      format: try format(place), granularity: strategy == "token" ? .token : .tensor,
      symmetric: symmetric, dynamic: isDynamic, outlierThreshold: outlierThreshold)
  }

  /// Keys and values: fixed scales, one for all heads or one for each.
  func cacheScheme(_ place: String) throws(CheckpointError) -> InputScheme {
    guard ["tensor", "attn_head"].contains(strategy), symmetric, !isDynamic else {
      throw CheckpointError(
        .malformed,
        "\(place): only symmetric scales that are fixed, with strategy tensor or attn_head, are read; "
          + "set kv_cache_scheme to null to keep keys and values as they are")
    }
    // What the library has; the names of other formats could not be written again.
    guard type == "int" || type == "float" && bits == 8 else {
      throw CheckpointError(
        .malformed,
        "\(place): keys and values of \(bits)-bit \(type) are not read, only int, and float of 8 "
          + "bits; set kv_cache_scheme to null to keep keys and values as they are")
    }
    return InputScheme(
      format: try format(place), granularity: .tensor, symmetric: true, dynamic: false)
  }

  private func format(_ place: String) throws(CheckpointError) -> any NumberFormat {
    let format: (any NumberFormat)? =
      switch type {
      case "int": try? IntegerFormat(bits: bits)
      case "float": [4: .e2m1, 6: .e2m3, 8: FloatFormat.e4m3fn][bits]
      default: NumberFormats.named(type)
      }
    guard let format, format.bits == bits, symmetric || format is IntegerFormat else {
      throw unsupported(place)
    }
    return format
  }

  private func unsupported(_ place: String) -> CheckpointError {
    CheckpointError(
      .malformed,
      "\(place): \(bits)-bit \(type) with strategy \(strategy) is not supported; "
        + "Halftone reads integers of 2 to 8 bits per tensor, channel or group, 8-bit floats per tensor or "
        + "channel, NVFP4, and MXFP4, MXFP6 and MXFP8")
  }
}
