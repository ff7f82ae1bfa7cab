import Foundation
public import HalftoneTensor

// Scales that were quantized themselves: the double quantization of QLoRA, with the numbers that bitsandbytes
// has for it.

extension NestedScales {
  /// What the codes stand for, rising: 0, 1, and on either side of 0 for each k from 0 to 6 the 2^k middles
  /// of equal parts of 10^(k−7) … 10^(k−6).
  ///
  /// Dettmers. *8-Bit Approximations for Parallelism in Deep Learning.* ICLR 2016.
  /// <https://arxiv.org/abs/1511.04561>; as bitsandbytes' signed dynamic map of 8 bits has it.
  static let values: [Float] = {
    var values: [Float] = [0, 1]
    for k in 0..<7 {
      let parts = 1 << k
      for part in 0..<parts {
        let size = (0.1 + 0.9 * (Double(part) + 0.5) / Double(parts)) * pow(10, Double(k - 6))
        values += [Float(size), Float(-size)]
      }
    }
    return values.sorted()
  }()

  private static let levels = LevelTable.shared(values)

  /// The scales themselves.
  public var scales: [Float] {
    codes.indices.map { Self.scale(codes[$0], units[$0 / Self.run], mean) }
  }

  private static func scale(_ code: UInt8, _ unit: Float, _ mean: Float) -> Float {
    unit * values[Int(code)] + mean
  }

  /// The codes of `scales`, all above 0: the mean is taken off, the largest rest of a run is its unit, and
  /// each rest becomes the nearest multiple of that.
  ///
  /// A scale of which nothing above 0 would be left takes the next larger code.
  init(_ scales: [Float]) {
    let mean = Float(scales.reduce(0.0) { $0 + Double($1) } / Double(scales.count))
    var (codes, units) = ([UInt8](repeating: 0, count: scales.count), [Float]())
    for start in stride(from: 0, to: scales.count, by: Self.run) {
      let run = start..<min(start + Self.run, scales.count)
      let unit = run.reduce(0) { max($0, abs(scales[$1] - mean)) }
      units.append(unit)
      for i in run {
        let rest = unit > 0 ? (scales[i] - mean) / unit : 0
        var code = UInt8(truncatingIfNeeded: Self.levels.nearest(to: rest).code)
        while !Self.scale(code, unit, mean).isUsable, code < 255 { code += 1 }
        codes[i] = code
      }
    }
    self.init(codes: codes, units: units, mean: mean)
  }
}

extension Float {
  /// Whether a scale may be this.
  fileprivate var isUsable: Bool { isNormal && self > 0 }
}

extension WeightScheme {
  /// Quantizes the scales of `table`, found for each group alone.
  ///
  /// Groups of zeros take the mean of the others, which spoils no unit.
  func nest(_ table: GridTable, of weights: Tensor) throws(SchemeError) -> GridTable {
    var (table, scales) = (table, table.scales.values)
    let used = table.usedGroups(of: weights)
    let count = max(1, used.count { $0 })
    let mean = Float(
      zip(scales, used).reduce(0.0) { $0 + ($1.1 ? Double($1.0) : 0) } / Double(count))
    for at in scales.indices where !used[at] { scales[at] = mean > 0 ? mean : 1 }
    let nested = NestedScales(scales)
    table.nested = nested
    table.scales = Tensor(nested.scales, shape: table.scales.shape)
    return table
  }
}

extension NestedScales {
  /// From a file.
  ///
  /// - Throws: `SchemeError` where lengths do not fit, or a scale is not a number above 0.
  public static func loaded(
    codes: [UInt8], units: [Float], mean: Float
  ) throws(SchemeError) -> NestedScales {
    guard !codes.isEmpty, units.count == (codes.count + run - 1) / run else {
      throw SchemeError("\(units.count) units are not one for each \(run) of \(codes.count) scales")
    }
    guard mean.isFinite, units.allSatisfy({ $0.isFinite && $0 >= 0 }) else {
      throw SchemeError("units or mean of the scales are negative or no numbers")
    }
    let nested = NestedScales(codes: codes, units: units, mean: mean)
    guard nested.scales.allSatisfy(\.isUsable) else {
      throw SchemeError("scales are not above 0")
    }
    return nested
  }
}

extension NestedScales {
  /// The codes as files hold them, one byte each.
  public var codeTensor: Tensor {
    Tensor(shape: [codes.count], elementType: .uint8) { $0.copyBytes(from: codes) }
  }
}
