import Foundation

/// Numbers as reports show them, the same on every machine.
enum Figures {
  static func fixed(_ value: Double, _ decimals: Int) -> String {
    String(format: "%.\(decimals)f", value)
  }

  static func scientific(_ value: Double) -> String { String(format: "%.2e", value) }

  static func bytes(_ count: Int) -> String {
    var (value, unit) = (Double(count), 0)
    let units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024, unit < units.count - 1 {
      value /= 1024
      unit += 1
    }
    return "\(fixed(value, unit == 0 || value >= 100 ? 0 : 1)) \(units[unit])"
  }
}
