public import HalftoneLayers
import HalftoneTensor

/// A model held in memory that continues several token sequences at once.
public final class Engine: Sendable {
  private let model: any LanguageModel
  private let blocks: [any TransformerBlock]
  private let head: any OutputHead

  /// Reads all weights of `model`.
  public init(_ model: any LanguageModel) throws {
    self.model = model
    blocks = try (0..<model.blockCount).map { try model.block($0).densified() }
    head = try model.head()
  }

  public var vocabularySize: Int { model.vocabularySize }
  /// The longest sequence the model was made for.
  public var contextLength: Int { model.contextLength }
  /// The ids at which a text ends; may be empty.
  public var endOfTextIds: [Int] { model.endOfTextIds }

  /// An empty sequence with room for `capacity` positions.
  ///
  /// - Throws: ``GenerationError`` if that is none, or more than the model's context.
  public func sequence(capacity: Int) throws(GenerationError) -> EngineSequence {
    guard (1...contextLength).contains(capacity) else {
      throw GenerationError(
        "a sequence of \(capacity) positions; the model has room for 1 to \(contextLength)")
    }
    return EngineSequence(capacity: capacity)
  }

  /// Runs the new ids of each sequence after what it holds, all sequences together, and returns the
  /// logits after the last new id of each.
  ///
  /// - Throws: ``GenerationError`` if an input has no ids, a sequence occurs twice or has no room;
  ///   nothing has been run then.
  public func run(_ inputs: [EngineInput]) throws -> [[Float]] {
    for input in inputs {
      guard !input.ids.isEmpty else { throw GenerationError("an input without token ids") }
      try input.sequence.cache.reserve(input.ids.count)
    }
    return try inputs.map { input in
      let cache = input.sequence.cache
      var context = model.context(batch: 1, length: input.ids.count, start: cache.count)
      context.cache = cache
      var hidden = try model.embed(input.ids)
      for block in blocks { hidden = block(hidden, context) }
      return head(hidden.view(input.ids.count - 1..<input.ids.count)).values
    }
  }
}

/// New token ids of one sequence.
public struct EngineInput {
  public let sequence: EngineSequence
  public let ids: [Int]

  public init(_ sequence: EngineSequence, _ ids: [Int]) {
    self.sequence = sequence
    self.ids = ids
  }
}

/// What an engine remembers of one sequence: keys and values of every position so far.
///
/// Used by one thread at a time.
public final class EngineSequence {
  let cache: KeyValueCache

  init(capacity: Int) { cache = KeyValueCache(capacity: capacity) }

  /// The most positions it holds.
  public var capacity: Int { cache.capacity }
  /// The positions so far.
  public var count: Int { cache.count }
}
