/// The matchers of compressed-tensors: a module's name, `re:` and an expression, or a class.
enum ModulePattern {
  /// The expression of a matcher that has one.
  static func expression(_ matcher: String) -> String? {
    matcher.hasPrefix("re:") ? String(matcher.dropFirst(3)) : nil
  }

  /// Whether the expression can be compiled, and matched in a time that a hostile one cannot raise.
  ///
  /// Matching backtracks: a repeated group can take exponential time, and so many repeats of one
  /// character the length of the name to that power.
  static func isValid(_ expression: String) -> Bool {
    guard expression.utf8.count <= 1024 else { return false }
    var repeats = 0
    var previous: Character?
    var isEscaped = false
    for character in expression {
      if !isEscaped, "*+{".contains(character) {
        if previous == ")" { return false }
        repeats += 1
      }
      previous = isEscaped ? nil : character
      isEscaped = !isEscaped && character == "\\"
    }
    return repeats <= 5 && (try? Regex<AnyRegexOutput>(expression)) != nil
  }

  /// Whether the expression fits the beginning of the name, as Python's re.match has it.
  static func matches(_ expression: String, _ module: String) -> Bool {
    guard let regex = try? Regex<AnyRegexOutput>(expression) else { return false }
    return (try? regex.prefixMatch(in: module)) != nil
  }
}

/// A list of matchers, in which names are found without going through the list.
///
/// Where one scheme's layers are listed by name, the list is as long as the model.
struct ModuleMatchers: Sendable {
  let all: [String]
  private let names: Set<String>
  private let expressions: [String]
  private let hasClass: Bool

  init(_ matchers: [String]) {
    all = matchers
    names = Set(matchers)
    expressions = matchers.compactMap(ModulePattern.expression)
    hasClass = matchers.contains("Linear") || matchers.contains("Module")
  }

  /// 0 for a name, 1 for an expression, 2 for the class of linear layers; nil without a match.
  func rank(_ module: String) -> Int? {
    if names.contains(module) { return 0 }
    if expressions.contains(where: { ModulePattern.matches($0, module) }) { return 1 }
    return hasClass ? 2 : nil
  }
}
