/// Sizes in bytes, as people write them.
public enum ByteSize {
  private static let units = ["B", "KiB", "MiB", "GiB", "TiB"]

  /// "1.5 MiB": one decimal below 100, none above.
  public static func text(_ bytes: Int) -> String {
    var (value, unit) = (Double(bytes), 0)
    while value >= 1024, unit < units.count - 1 {
      value /= 1024
      unit += 1
    }
    return "\(fixed(value, unit == 0 || value >= 100 ? 0 : 1)) \(units[unit])"
  }

  /// The number of bytes of "8GiB", "500 MB" or "1048576"; nil if that is no size.
  public static func parse(_ text: String) -> Int? {
    let digits = text.prefix { $0.isNumber || $0 == "." }
    guard let value = Double(digits), value > 0 else { return nil }
    let factors: [String: Double] = [
      "": 1, "b": 1, "kib": 0x1p10, "mib": 0x1p20, "gib": 0x1p30, "tib": 0x1p40,
      "k": 0x1p10, "m": 0x1p20, "g": 0x1p30, "t": 0x1p40, "kb": 1e3, "mb": 1e6, "gb": 1e9,
      "tb": 1e12,
    ]
    let unit = text.dropFirst(digits.count).drop { $0 == " " }.lowercased()
    guard let factor = factors[unit], value * factor >= 1, value * factor < 0x1p60 else {
      return nil
    }
    return Int(value * factor)
  }

  /// A number with so many decimals, rounded half away from zero.
  public static func fixed(_ value: Double, _ decimals: Int) -> String {
    guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
    var factor = 1.0
    for _ in 0..<decimals { factor *= 10 }
    let scaled = Int((abs(value) * factor).rounded())
    let sign = value < 0 && scaled > 0 ? "-" : ""
    guard decimals > 0 else { return "\(sign)\(scaled)" }
    let fraction = "\(scaled % Int(factor))"
    let zeros = String(repeating: "0", count: decimals - fraction.count)
    return "\(sign)\(scaled / Int(factor)).\(zeros)\(fraction)"
  }
}
