import HalftoneCheckpoints
import HalftoneInference
import HalftoneTokenizers

/// What a client asks for, checked.
struct CompletionRequest: Sendable {
  enum Kind: Sendable {
    case text
    case chat

    /// The member that the prompt comes from.
    var source: String { self == .text ? "prompt" : "messages" }
  }

  let kind: Kind
  let prompt: [Int]
  let options: GenerationOptions
  let stop: [String]
  let streams: Bool
  /// Whether a stream ends with the count of tokens.
  let includesUsage: Bool

  private static let mostStops = 16
  private static let longestStop = 1024

  /// Reads a request for `model`, whose sequences have `capacity` positions.
  ///
  /// - Throws: ``APIError`` naming the member that cannot be served.
  init(
    _ kind: Kind, _ fields: RequestFields, _ model: ServedModel, capacity: Int
  ) throws(APIError) {
    try Self.refuseUnsupported(fields)
    if let name = try fields.string("model"), name != model.name {
      throw .notFound(
        "there is no model '\(name)'; this server has '\(model.name)'", "model",
        code: "model_not_found")
    }
    self.kind = kind
    prompt =
      switch kind {
      case .text: try Self.prompt(fields, model)
      case .chat: try Self.chat(fields, model)
      }
    let room = capacity - prompt.count
    let tokens = try Self.tokens(fields) ?? (kind == .chat ? max(room, 1) : min(16, max(room, 1)))
    guard tokens <= room else {
      throw .invalid(
        "the prompt has \(prompt.count) tokens and \(tokens) more were asked for; the model has "
          + "room for \(capacity) together", kind.source, code: "context_length_exceeded")
    }
    options = GenerationOptions(
      tokens: tokens, sampling: try Self.sampling(fields),
      stop: kind == .chat ? model.chatEnds : model.ends)
    stop = try Self.stop(fields)
    streams = try fields.bool("stream") ?? false
    let streamOptions = RequestFields(fields["stream_options"]?.object ?? JSONObject())
    includesUsage = try streamOptions.bool("include_usage") ?? false
  }

  private static func refuseUnsupported(_ fields: RequestFields) throws(APIError) {
    try fields.refuse(
      ["n": "must be 1", "best_of": "must be 1"], unless: { $0.int == 1 })
    try fields.refuse(
      [
        "presence_penalty": "is not supported; use repetition_penalty",
        "frequency_penalty": "is not supported; use repetition_penalty",
        "top_logprobs": "is not supported",
      ], unless: { $0.double == 0 })
    try fields.refuse(
      ["echo": "is not supported", "logprobs": "is not supported"], unless: { $0.bool == false })
    try fields.refuse(
      ["suffix": "is not supported"], unless: { $0.string == "" })
    try fields.refuse(
      [
        "tools": "are not supported", "functions": "are not supported",
        "logit_bias": "is not supported",
      ], unless: { $0.array?.isEmpty ?? ($0.object?.count == 0) })
    try fields.refuse(
      ["response_format": "must be of type text"], unless: { $0["type"]?.string == "text" })
  }

  /// A text, or token ids; or a list of just one of these.
  private static func prompt(
    _ fields: RequestFields, _ model: ServedModel
  ) throws(APIError) -> [Int] {
    guard var value = fields["prompt"] else { throw .invalid("'prompt' is missing", "prompt") }
    if let list = value.array, let first = list.first, first.int == nil {
      guard list.count == 1 else {
        throw .invalid("'prompt' must be one text or one list of token ids", "prompt")
      }
      value = first
    }
    if let text = value.string { return try tokens(model.tokenizer.encode(text)) }
    guard let list = value.array else {
      throw .invalid("'prompt' must be a string or a list of token ids", "prompt")
    }
    let ids = list.compactMap(\.int)
    guard ids.count == list.count else {
      throw .invalid("'prompt' has elements that are not token ids", "prompt")
    }
    return try tokens(ids)
  }

  private static func tokens(_ ids: [Int]) throws(APIError) -> [Int] {
    guard !ids.isEmpty else { throw .invalid("the prompt has no tokens", "prompt") }
    return ids
  }

  private static func tokens(_ fields: RequestFields) throws(APIError) -> Int? {
    for name in ["max_completion_tokens", "max_tokens"] {
      guard let tokens = try fields.integer(name) else { continue }
      guard tokens >= 1 else { throw .invalid("'\(name)' must be at least 1", name) }
      return tokens
    }
    return nil
  }

  private static func sampling(_ fields: RequestFields) throws(APIError) -> SamplingOptions {
    let topK = try fields.integer("top_k")
    let options = SamplingOptions(
      temperature: try fields.number("temperature") ?? 1,
      // 0 and −1 mean all in other programs.
      topK: topK.flatMap { [0, -1].contains($0) ? nil : $0 },
      topP: try fields.number("top_p"), minP: try fields.number("min_p"),
      repetitionPenalty: try fields.number("repetition_penalty") ?? 1,
      seed: try fields.seed("seed") ?? UInt64.random(in: 0...UInt64.max))
    // One at a time, so that the error can name the member.
    for (name, option) in [
      ("temperature", SamplingOptions(temperature: options.temperature)),
      ("top_k", SamplingOptions(topK: options.topK)),
      ("top_p", SamplingOptions(topP: options.topP)),
      ("min_p", SamplingOptions(minP: options.minP)),
      ("repetition_penalty", SamplingOptions(repetitionPenalty: options.repetitionPenalty)),
    ] {
      do throws(GenerationError) { try option.validate() } catch {
        throw .invalid(error.description, name)
      }
    }
    return options
  }

  private static func stop(_ fields: RequestFields) throws(APIError) -> [String] {
    guard let value = fields["stop"] else { return [] }
    let list = value.array ?? [value]
    let strings = list.compactMap(\.string)
    guard strings.count == list.count, strings.count <= mostStops,
      strings.allSatisfy({ (1...longestStop).contains($0.utf8.count) })
    else {
      throw .invalid(
        "'stop' must be a string or up to \(mostStops), each of 1 to \(longestStop) bytes", "stop")
    }
    return strings
  }
}
