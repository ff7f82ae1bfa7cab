import Foundation
public import HalftoneInference
public import HalftoneTokenizers

/// The model that a server offers.
public struct ServedModel: Sendable {
  /// What clients call it.
  public let name: String
  let tokenizer: any Tokenizer
  /// How it sees conversations; nil where it was not taught any.
  let template: ChatTemplate?
  /// The ids at which a text ends, and those at which an answer in a chat does.
  let ends: Set<Int>
  let chatEnds: Set<Int>
  /// When it was put on offer, in seconds since 1970.
  let created = Int(Date().timeIntervalSince1970)

  public init(
    name: String, tokenizer: any Tokenizer, template: ChatTemplate?, endOfTextIds: [Int]
  ) {
    self.name = name
    self.tokenizer = tokenizer
    self.template = template
    ends = Set(endOfTextIds)
    chatEnds = ends.union(template?.endIds(tokenizer) ?? [])
  }
}
