import HalftoneSchemes

/// The `quantization` of an MLX checkpoint: how modules that have scales are quantized.
public struct MLXConfig: Sendable {
  /// What codes stand for.
  public enum Mode: String, Sendable, CaseIterable {
    /// Whole numbers from 0; value = code · scale + offset.
    case affine
    case mxfp4, mxfp8, nvfp4

    /// What holds where a module's entry does not say it.
    var defaults: (bits: Int, group: Int) {
      switch self {
      case .affine: (4, 64)
      case .mxfp4: (4, 32)
      case .mxfp8: (8, 32)
      case .nvfp4: (4, 16)
      }
    }
  }

  /// How one module is quantized.
  public struct Settings: Sendable, Equatable {
    public var mode: Mode
    public var bits: Int
    /// Columns that share a scale.
    public var groupSize: Int
  }

  public let settings: Settings
  /// By module; nil for one that is not quantized.
  let overrides: [String: Settings?]

  /// Reads the configuration of a `config.json`; nil where there is none of MLX.
  ///
  /// Newer tools write it twice, as `quantization` and `quantization_config`.
  init?(_ config: JSONValue, path: String) throws(CheckpointError) {
    let key = config["quantization"]?.object == nil ? "quantization_config" : "quantization"
    guard let value = config[key], value.object != nil, value["quant_method"] == nil,
      value["group_size"] != nil, value["bits"] != nil, value["desc_act"] == nil
    else { return nil }
    let place = "\(path)/config.json: \(key)"
    settings = try Self.settings(value, place)
    var overrides: [String: Settings?] = [:]
    for (module, entry) in value.object?.pairs ?? [] {
      if entry.bool == false { overrides[module] = .some(nil) }
      if entry.object != nil {
        overrides[module] = try Self.settings(entry, "\(place): \(module)")
      }
    }
    self.overrides = overrides
  }

  private static func settings(
    _ value: JSONValue, _ place: String
  ) throws(CheckpointError) -> Settings {
    func malformed(_ key: String, _ need: String) -> CheckpointError {
      CheckpointError(
        .malformed,
        "\(place): \(key) \(value[key]?.serialized(indent: nil) ?? "is missing"); it must be \(need)"
      )
    }
    for key in ["quantize_input", "global_scale"] where value[key]?.bool == true {
      throw CheckpointError(
        .malformed, "\(place): \(key) is not read; quantize the original model without it")
    }
    let names = Mode.allCases.map(\.rawValue).joined(separator: ", ")
    guard let mode = Mode(rawValue: value["mode"]?.string ?? "affine") else {
      throw malformed("mode", "one of \(names)")
    }
    let defaults = mode.defaults
    guard let bits = value["bits"] == nil ? defaults.bits : value["bits"]?.int,
      mode == .affine ? [2, 3, 4, 5, 6, 8].contains(bits) : bits == defaults.bits
    else {
      throw malformed("bits", mode == .affine ? "2, 3, 4, 5, 6 or 8" : "\(defaults.bits)")
    }
    guard let group = value["group_size"] == nil ? defaults.group : value["group_size"]?.int,
      mode == .affine ? [16, 32, 64, 128].contains(group) : group == defaults.group
    else {
      throw malformed("group_size", mode == .affine ? "16, 32, 64 or 128" : "\(defaults.group)")
    }
    return Settings(mode: mode, bits: bits, groupSize: group)
  }

  /// How `module` is quantized if it has scales; nil where the configuration says it is not.
  func settings(of module: String) -> Settings? {
    overrides[module] ?? settings
  }
}

extension MLXConfig.Settings {
  /// Integers where the mode is affine.
  var format: any NumberFormat {
    switch mode {
    case .affine: (try? IntegerFormat(bits: bits)) ?? .int4
    case .mxfp4, .nvfp4: FloatFormat.e2m1
    case .mxfp8: FloatFormat.e4m3fn
    }
  }

  var scales: ScaleFormat {
    switch mode {
    case .affine: .float
    case .mxfp4, .mxfp8: .e8m0
    case .nvfp4: .e4m3
    }
  }

  var scheme: WeightScheme {
    WeightScheme(
      format: format, granularity: .group(groupSize), symmetric: mode != .affine, range: .minMax,
      scales: scales)
  }
}
