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

  /// 0 for a name, 1 for an expression, 2 for the class of linear layers; nil without a match.
  static func rank(_ matcher: String, _ module: String) -> Int? {
    if matcher == module { return 0 }
    if let expression = expression(matcher) {
      // Anchored at the start only, as Python's re.match.
      let match = try? Regex<AnyRegexOutput>(expression).prefixMatch(in: module)
      return match == nil ? nil : 1
    }
    return matcher == "Linear" || matcher == "Module" ? 2 : nil
  }
}
