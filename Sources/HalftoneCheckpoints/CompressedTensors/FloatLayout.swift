import HalftoneSchemes
import HalftoneTensor

/// How compressed-tensors stores a kind of floats.
struct FloatLayout {
  /// What the library calls it, for weights alone and beside quantized inputs.
  let name: String
  let nameWithInputs: String
  /// Codes in a stream of bytes under `weight_packed`, or one to an element of `weight`.
  let isStream: Bool
  let strategy: String

  /// The layout of `weights`; nil where the library has none.
  init?(_ weights: WeightScheme, _ inputs: InputScheme?) {
    // Inputs of the formats with scales of eight bits go with weights of such scales.
    guard (inputs?.scales ?? .float) == .float || inputs?.scales == weights.scales else {
      return nil
    }
    let inputs = inputs?.scales == weights.scales && weights.scales != .float ? nil : inputs
    switch (weights.format.name, weights.granularity, weights.scales) {
    case ("e4m3fn", .tensor, .float), ("e4m3fn", .channel, .float):
      self.init(
        "naive-quantized", withInputs: "float-quantized", strategy: "\(weights.granularity)")
    case ("e4m3fn", .group(32), .e8m0) where inputs == nil:
      self.init("mxfp8-quantized", strategy: "group")
    case ("e2m1", .group(32), .e8m0) where inputs == nil:
      self.init("mxfp4-pack-quantized", strategy: "group", isStream: true)
    case ("e2m3", .group(32), .e8m0) where inputs == nil:
      self.init("mxfp6-pack-quantized", strategy: "group", isStream: true)
    case ("e2m1", .group(16), .e4m3) where inputs == nil:
      self.init("nvfp4-pack-quantized", strategy: "tensor_group", isStream: true)
    default: return nil
    }
  }

  private init(
    _ name: String, withInputs: String? = nil, strategy: String, isStream: Bool = false
  ) {
    (self.name, nameWithInputs) = (name, withInputs ?? name)
    (self.strategy, self.isStream) = (strategy, isStream)
  }
}

extension ScaleFormat {
  /// The type of a table of such scales; nil for floats.
  var storedType: StoredType? {
    switch self {
    case .float: nil
    case .e8m0, .rowPowers, .rowIntegers, .dyadic8, .nested: .uint8
    case .dyadic16: .uint16
    case .e4m3: .float8e4m3
    }
  }

  /// What `scale_dtype` says of them.
  var typeName: String? {
    switch self {
    case .float: nil
    case .e8m0: "torch.uint8"
    case .e4m3: "torch.float8_e4m3fn"
    // Names in a layout of our own.
    case .rowPowers, .rowIntegers, .dyadic8, .dyadic16, .nested: rawValue
    }
  }

  /// The bytes of `scales`, which are such numbers; nil for floats.
  func bytes(_ scales: Tensor) -> [UInt8]? {
    switch self {
    // Bytes of these are not those of the numbers alone.
    case .float, .nested: nil
    case .dyadic8: scales.values.map { UInt8(clamping: dyadic($0).multiplier) }
    case .dyadic16:
      scales.values.flatMap { scale in
        let multiplier = dyadic(scale).multiplier
        return [UInt8(multiplier & 255), UInt8(clamping: multiplier >> 8)]
      }
    case .e8m0: scales.values.map { UInt8(clamping: Int($0.exponent) + 127) }
    case .rowPowers: scales.values.map { UInt8(clamping: -Int($0.exponent)) }
    case .rowIntegers: scales.values.map { UInt8(clamping: Int($0)) }
    case .e4m3:
      FloatFormat.e4m3fn.levels.map { levels in
        let grid = ScaledGrid(scale: 1, low: levels.low, high: levels.high, levels: levels)
        return [UInt8](unsafeUninitializedCapacity: scales.count) { bytes, count in
          count = scales.count
          bytes.withMemoryRebound(to: Int8.self) { codes in
            scales.withElements { Kernels.quantize($0, grid, codes) }
          }
        }
      }
    }
  }

  /// b and c of a scale b/2ᶜ.
  func dyadic(_ scale: Float) -> Dyadic {
    Dyadic(nearest: Double(scale), bits: dyadicBits ?? 16)
  }

  /// What `byte` stands for; nil for what is no scale: 0, a negative number or no number.
  func value(of byte: UInt8) -> Float? {
    switch self {
    // A byte is not all of these.
    case .float, .dyadic8, .dyadic16, .nested: return nil
    case .e8m0:
      return byte == 255 ? nil : Float(sign: .plus, exponent: Int(byte) - 127, significand: 1)
    case .rowPowers:
      return byte > 126 ? nil : Float(sign: .plus, exponent: -Int(byte), significand: 1)
    case .rowIntegers: return byte == 0 || byte > 127 ? nil : Float(byte)
    case .e4m3:
      let value = FloatFormat.e4m3fn.value(Int(byte))
      return value > 0 ? value : nil
    }
  }
}
