import HalftoneInference
import HalftoneTokenizers

/// The text of an answer as it comes.
actor CompletionStream {
  enum Piece: Sendable {
    case text(String)
    /// The rest of the text, and why it ended.
    case end(String, finish: String)
  }

  nonisolated let scheduled: ScheduledGeneration
  private var events: AsyncThrowingStream<ScheduledGeneration.Event, any Error>.Iterator
  private var text: TextStream
  private var isDone = false
  /// The tokens so far, those of a stop string among them.
  private(set) var tokens = 0

  init(
    _ request: CompletionRequest, _ scheduled: ScheduledGeneration, _ tokenizer: any Tokenizer
  ) throws(GenerationError) {
    text = try TextStream(tokenizer, after: request.prompt, stop: request.stop)
    self.scheduled = scheduled
    events = scheduled.events.makeAsyncIterator()
  }

  /// The next piece; nil after the end.
  func next() async throws -> Piece? {
    while !isDone {
      var events = events
      let event = try await events.next(isolation: self)
      self.events = events
      switch event {
      case .token(let id):
        tokens += 1
        let piece = text.append(id)
        if text.isStopped {
          isDone = true
          scheduled.complete()
          return .end(piece, finish: "stop")
        }
        if !piece.isEmpty { return .text(piece) }
      case .finished(let generation):
        isDone = true
        let rest = text.finish()
        let isCut = generation.finish == .tokenLimit && !text.isStopped
        return .end(rest, finish: isCut ? "length" : "stop")
      case nil:
        isDone = true
        throw CancellationError()
      }
    }
    return nil
  }
}
