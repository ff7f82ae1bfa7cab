/// Adds ids around those of a text.
indirect enum PostProcessor: Sendable {
  case sequence([PostProcessor])
  case template([TemplatePart])
  case none

  /// One place of a template: the ids of the text, or fixed ids.
  enum TemplatePart: Sendable {
    case text
    case ids([Int])
  }

  private static let supported = "Sequence, TemplateProcessing, ByteLevel"

  init(_ node: JSONNode) throws {
    let type = try node.required("type").text()
    switch type {
    case "Sequence":
      self = .sequence(try node.required("processors").elements().map(PostProcessor.init))
    case "TemplateProcessing": self = .template(try Self.template(node))
    case "ByteLevel": self = .none
    default:
      throw node.unsupported(
        "post-processor '\(type)' is not supported; supported: \(Self.supported)")
    }
  }

  private static func template(_ node: JSONNode) throws -> [TemplatePart] {
    let special = try node.required("special_tokens")
    let single = try node.required("single")
    let parts = try single.elements()
    // A chain of templates that repeat the text would grow without bound.
    guard try parts.count(where: { try $0.member("Sequence") != nil }) <= 1 else {
      throw single.unsupported("the template repeats the text; supported: at most once")
    }
    return try parts.map { part in
      if let sequence = try part.member("Sequence") {
        guard try sequence.required("id").text() == "A" else {
          throw sequence.malformed("a template for one text may only name sequence 'A'")
        }
        return .text
      }
      let name = try part.required("SpecialToken").required("id").text()
      return .ids(try special.required(name).required("ids").elements().map { try $0.index() })
    }
  }

  func process(_ ids: [Int]) -> [Int] {
    switch self {
    case .none: return ids
    case .sequence(let parts): return parts.reduce(ids) { $1.process($0) }
    case .template(let parts):
      return parts.flatMap { part in
        switch part {
        case .text: ids
        case .ids(let fixed): fixed
        }
      }
    }
  }
}
