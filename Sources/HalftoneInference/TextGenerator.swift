public import HalftoneLayers
public import HalftoneTokenizers

/// A model and its tokenizer, which continue texts.
public struct TextGenerator: Sendable {
  public let generator: Generator
  public let tokenizer: any Tokenizer

  /// Reads all weights of `model`; `capacity` is the most positions that a prompt and its
  /// continuation take together, nil for the model's context length.
  ///
  /// - Throws: ``GenerationError`` if the capacity is not 1 to the context length; what the model
  ///   throws.
  public init(
    _ model: any LanguageModel, tokenizer: any Tokenizer, capacity: Int? = nil
  ) throws {
    generator = try Generator(model, capacity: capacity)
    self.tokenizer = tokenizer
  }

  /// A generator on an engine that may serve others too.
  public init(_ generator: Generator, tokenizer: any Tokenizer) {
    self.generator = generator
    self.tokenizer = tokenizer
  }

  /// A continuation and how it came about.
  public struct Output: Sendable {
    /// The text after the prompt, up to a stop string.
    public let text: String
    /// The tokens, those of the stop string among them.
    public let generation: Generation
  }

  /// Continues `prompt` until one of the texts `stop`, which is left out; `onText` is called with
  /// each piece of text as it becomes certain and may throw to stop.
  ///
  /// - Throws: ``GenerationError`` if the prompt has no tokens, or if it and `options.tokens` more
  ///   do not fit the capacity; what `onText` throws.
  public func generate(
    _ prompt: String, _ options: GenerationOptions, stop: [String] = [],
    onText: (String) throws -> Void = { _ in }
  ) throws -> Output {
    try generate(tokens: [tokenizer.encode(prompt)], options, stop: stop) { try onText($1) }[0]
  }

  /// Continues all `prompts` together, prompt i drawing with the seed `options.sampling.seed` + i;
  /// `onText` is called with the index of the prompt and each piece of its text.
  ///
  /// - Throws: as for one prompt.
  public func generate(
    _ prompts: [String], _ options: GenerationOptions, stop: [String] = [],
    onText: (Int, String) throws -> Void = { _, _ in }
  ) throws -> [Output] {
    try generate(
      tokens: prompts.map { tokenizer.encode($0) }, options, stop: stop, onText: onText)
  }

  /// Continues prompts that are tokens already, such as those of a chat.
  ///
  /// - Throws: as for texts.
  public func generate(
    tokens prompts: [[Int]], _ options: GenerationOptions, stop: [String] = [],
    onText: (Int, String) throws -> Void = { _, _ in }
  ) throws -> [Output] {
    var streams = try prompts.map { try TextStream(tokenizer, after: $0, stop: stop) }
    var texts = prompts.map { _ in "" }
    func emit(_ index: Int, _ piece: String) throws {
      guard !piece.isEmpty else { return }
      texts[index] += piece
      try onText(index, piece)
    }
    let results = try generator.run(prompts, options) { index, id in
      try emit(index, streams[index].append(id))
      return !streams[index].isStopped
    }
    for index in streams.indices { try emit(index, streams[index].finish()) }
    return zip(texts, results).map { Output(text: $0, generation: $1) }
  }
}
