/// A pattern for module names: `*` stands for any run of characters, `?` for one.
///
/// It is matched against the whole name with and without the leading "model.", so `lm_head`,
/// `layers.*.mlp.down_proj` and `model.layers.0.*` all work.
public struct ModulePattern: Sendable, Equatable {
  public let text: String
  /// Where it stands in its recipe.
  public let line: Int

  public init(_ text: String, line: Int = 0) {
    self.text = text
    self.line = line
  }

  public func matches(_ module: String) -> Bool {
    if Self.glob(Array(text.utf8), Array(module.utf8)) { return true }
    guard module.hasPrefix("model.") else { return false }
    return Self.glob(Array(text.utf8), Array(module.utf8.dropFirst("model.".utf8.count)))
  }

  /// Greedy matching that goes back to the last star only: linear for one star, never exponential.
  private static func glob(_ pattern: [UInt8], _ name: [UInt8]) -> Bool {
    var (p, n) = (0, 0)
    var retry: (pattern: Int, name: Int)?
    while n < name.count {
      if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
        retry = (p, n)
        p += 1
      } else if p < pattern.count, pattern[p] == UInt8(ascii: "?") || pattern[p] == name[n] {
        p += 1
        n += 1
      } else if let back = retry {
        retry = (back.pattern, back.name + 1)
        (p, n) = (back.pattern + 1, back.name + 1)
      } else {
        return false
      }
    }
    return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
  }
}
