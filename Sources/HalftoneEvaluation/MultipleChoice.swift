import HalftoneLayers
import HalftoneTensor
public import HalftoneTokenizers

/// Answers questions by the log-probability of each choice as the continuation of the query.
///
/// The convention of the Language Model Evaluation Harness: query and choice are joined by a space
/// unless one is there, encoded together, and the tokens beyond those of the query alone are scored.
/// A text that is too long loses its beginning.
public enum MultipleChoice {
  /// Measures `model` on `task`.
  ///
  /// `progress` is called with the share done, 0 to 1, and may throw to stop.
  ///
  /// - Throws: ``EvaluationError`` if a choice does not fit the model's context or a logit is not a
  ///   number; what the model throws.
  public static func evaluate(
    _ model: MeasuredModel, task: MultipleChoiceTask, tokenizer: any Tokenizer,
    activationBytes: Int = 256 << 20, progress: (Double) throws -> Void = { _ in }
  ) throws -> TaskResult {
    let encoder = ContinuationEncoder(tokenizer)
    var continuations: [Continuation] = []
    for (i, item) in task.items.enumerated() {
      for choice in item.choices {
        let continuation = try encoder(item.query, choice)
        guard continuation.scored <= model.contextLength else {
          throw EvaluationError(
            "\(task.name), item \(i + 1): a choice of \(continuation.scored) tokens is longer than "
              + "the \(model.contextLength) positions of the model")
        }
        continuations.append(continuation)
      }
    }
    let scores = try logProbabilities(
      model, continuations, activationBytes: activationBytes, progress: progress)
    var next = 0
    let perItem = task.items.map { item in
      defer { next += item.choices.count }
      return Array(scores[next..<next + item.choices.count])
    }
    return TaskResult(task, scores: perItem)
  }

  /// Σ ln p over the scored tokens of each continuation.
  public static func logProbabilities(
    _ model: MeasuredModel, _ continuations: [Continuation], activationBytes: Int = 256 << 20,
    progress: (Double) throws -> Void = { _ in }
  ) throws -> [Double] {
    let head = try model.head()
    let groups = groups(continuations, model.contextLength)
    let rows = BlockwiseForward.rowsPerChunk(model, bytes: activationBytes)
    var result = [Double](repeating: 0, count: continuations.count)
    for chunk in chunks(groups, rows: rows) {
      let hidden = try model.hidden(groups[chunk].map(\.batch)) { done in
        let groupsDone = Double(chunk.lowerBound) + done * Double(chunk.count)
        try progress(groupsDone / Double(groups.count))
      }
      for (group, hidden) in zip(groups[chunk], hidden) {
        score(group, continuations, hidden, head, model.vocabularySize, &result)
      }
    }
    if let index = result.firstIndex(where: { !$0.isFinite }) {
      throw EvaluationError(
        "the model gives logits that are not numbers in sequence \(index); its weights are damaged "
          + "or a layer overflowed")
    }
    return result
  }

  /// Sequences of about one length, padded to the longest on the right, where causal attention
  /// keeps the padding from being seen.
  private struct Group {
    var members: [Int]
    var batch: TokenBatch
  }

  private static func groups(_ continuations: [Continuation], _ longest: Int) -> [Group] {
    func length(_ i: Int) -> Int { min(continuations[i].ids.count - 1, longest) }
    let order = continuations.indices.sorted { (length($0), $0) < (length($1), $1) }
    var result: [Group] = []
    var members: [Int] = []
    func close() {
      guard let last = members.last else { return }
      let width = length(last)
      let ids = members.flatMap { i -> [Int] in
        // The last token is predicted, not read.
        let read = continuations[i].ids.dropLast().suffix(longest)
        return read + [Int](repeating: read.last ?? 0, count: width - read.count)
      }
      result.append(Group(members: members, batch: TokenBatch(ids: ids, count: members.count)))
      members = []
    }
    for i in order {
      if (members.count + 1) * length(i) > BlockwiseForward.rowsPerBatch { close() }
      members.append(i)
    }
    close()
    return result
  }

  /// Ranges of groups whose activations fit into `rows` rows.
  private static func chunks(_ groups: [Group], rows: Int) -> [Range<Int>] {
    var result: [Range<Int>] = []
    var (start, total) = (0, 0)
    for (i, group) in groups.enumerated() {
      if i > start, total + group.batch.ids.count > rows {
        result.append(start..<i)
        (start, total) = (i, 0)
      }
      total += group.batch.ids.count
    }
    if start < groups.count { result.append(start..<groups.count) }
    return result
  }

  private static func score(
    _ group: Group, _ continuations: [Continuation], _ hidden: Tensor, _ head: any OutputHead,
    _ vocabulary: Int, _ result: inout [Double]
  ) {
    let width = group.batch.length
    var rows: [(row: Int, target: Int, owner: Int)] = []
    for (k, owner) in group.members.enumerated() {
      let (ids, scored) = (continuations[owner].ids, continuations[owner].scored)
      let end = k * width + min(ids.count - 1, width)
      for (i, target) in ids.suffix(scored).enumerated() {
        rows.append((end - scored + i, target, owner))
      }
    }
    let predicting = hidden.embedding(rows.map(\.row))
    for slice in BlockwiseForward.slices(rows.count, vocabulary: vocabulary) {
      let losses = head(predicting.view(slice))
        .negativeLogLikelihoods(targets: rows[slice].map(\.target))
      for (row, loss) in zip(rows[slice], losses) { result[row.owner] -= loss }
    }
  }
}

/// Tokens of which the last few are to be scored.
public struct Continuation: Sendable, Equatable {
  public let ids: [Int]
  /// How many tokens at the end of `ids` are scored, at least one and not all.
  public let scored: Int

  public init(ids: [Int], scored: Int) {
    precondition(scored > 0 && scored < ids.count, "\(scored) of \(ids.count) tokens scored")
    self.ids = ids
    self.scored = scored
  }
}

/// Encodes a query with each of its choices.
struct ContinuationEncoder {
  private let tokenizer: any Tokenizer
  /// What the model expects before a text: the token that begins one, if the post-processor adds it.
  private let prefix: [Int]

  init(_ tokenizer: any Tokenizer) {
    self.tokenizer = tokenizer
    let empty = tokenizer.encode("", addingSpecialTokens: true)
    prefix = empty.first.map { $0 == tokenizer.beginningOfText ? [$0] : [] } ?? []
  }

  func callAsFunction(_ query: String, _ choice: String) throws(EvaluationError) -> Continuation {
    let isSeparated =
      query.isEmpty || query.last?.isWhitespace == true || choice.first?.isWhitespace == true
    let text = query + (isSeparated ? "" : " ") + choice
    var context = prefix + tokenizer.encode(query, addingSpecialTokens: false)
    var ids = prefix + tokenizer.encode(text, addingSpecialTokens: false)
    if context.isEmpty {
      // Something must come before the first scored token.
      guard let start = tokenizer.beginningOfText ?? tokenizer.endOfText else {
        throw EvaluationError(
          "an empty query cannot be scored: the tokenizer has no token that begins a text")
      }
      context = [start]
      ids = [start] + ids
    }
    // Where the boundary falls inside a token, that token belongs to the continuation.
    let shared = zip(ids, context).prefix { $0 == $1 }.count
    guard ids.count > 1 else {
      throw EvaluationError("the choice \"\(choice.prefix(40))\" has no tokens")
    }
    return Continuation(ids: ids, scored: ids.count - min(max(1, shared), ids.count - 1))
  }
}
