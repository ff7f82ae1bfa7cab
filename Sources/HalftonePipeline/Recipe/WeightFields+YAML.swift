import HalftoneSchemes
import HalftoneTensor

extension WeightFields {
  init(_ node: RecipeNode) throws(RecipeError) {
    let fields = try node.fields([
      "type", "bits", "granularity", "group", "threshold", "symmetric", "range", "scales",
    ])
    if let node = fields["type"] { try readTypes(node, alone: fields) }
    if let node = fields["bits"] { (bits, bitsLine) = (try node.int(in: 2...8), node.line) }
    symmetric = try fields["symmetric"]?.bool()
    if let word = try fields["range"]?.word(of: RangeRule.allCases.map(\.rawValue)) {
      range = RangeRule(rawValue: word)
    }
    if let word = try fields["scales"]?.word(of: ScaleFormat.allCases.map(\.rawValue)) {
      scales = ScaleFormat(rawValue: word)
    }
    try readGranularity(fields, node)
  }

  private mutating func readGranularity(
    _ fields: [String: RecipeNode], _ node: RecipeNode
  ) throws(RecipeError) {
    let words = ["tensor", "channel", "group", "adaptive"]
    let word = try fields["granularity"]?.word(of: words)
    let line = (fields["group"] ?? fields["granularity"])?.line ?? node.line
    if let threshold = fields["threshold"], word != "adaptive" {
      throw threshold.error("'threshold' is for granularity: adaptive; leave it out")
    }
    switch (word, try fields["group"]?.int(in: 1...Int.max)) {
    case (nil, let group?), ("group", let group?): granularity = .group(group)
    case ("group", nil):
      throw RecipeError(file: node.file, line: line, "granularity: group needs 'group: SIZE'")
    case ("adaptive", let least):
      granularity = .group(least ?? AdaptiveGroups.usualLeast)
      adaptiveThreshold = try fields["threshold"]?.positive() ?? AdaptiveGroups.usualThreshold
    case (let other?, .some):
      throw RecipeError(
        file: node.file, line: line,
        "'group' contradicts granularity: \(other); use granularity: group, or leave group out")
    case ("tensor", nil): granularity = .tensor
    case ("channel", nil): granularity = .channel
    default: return
    }
    granularityLine = line
  }

  /// One type, or several to choose from.
  private mutating func readTypes(
    _ node: RecipeNode, alone fields: [String: RecipeNode]
  ) throws(RecipeError) {
    guard !node.isScalar else { return try readType(node, alone: fields) }
    var words: [String] = []
    for item in try node.list() {
      try readType(item, alone: fields)
      guard let word = type, word != "int" else {
        throw item.error("of several types 'int' must say its bits; use int4, for example")
      }
      guard !words.contains(word) else { throw item.error("the type '\(word)' is there twice") }
      words.append(word)
    }
    guard let first = words.first else { throw node.error("'type' names no format") }
    (type, alternatives, bitsLine) = (first, Array(words.dropFirst()), node.line)
  }

  /// A type of blocks settles groups and scales, which then must not be stated.
  private mutating func readType(
    _ node: RecipeNode, alone fields: [String: RecipeNode]
  ) throws(RecipeError) {
    let word = try node.numberFormat(inBlocks: true)
    (type, bitsLine) = (word, node.line)
    guard NumberFormats.blocks[word] != nil else { return }
    granularityLine = node.line
    for key in ["granularity", "group", "scales"] where fields[key] != nil {
      throw node.error("type: \(word) settles '\(key)'; leave it out")
    }
  }
}
