import HalftoneCheckpoints
import Hummingbird

/// An answer as server-sent events.
struct EventStream: Sendable {
  let stream: CompletionStream
  private let form: CompletionForm
  private let first: CompletionStream.Piece?
  private let includesUsage: Bool

  init(
    _ form: CompletionForm, _ stream: CompletionStream, _ first: CompletionStream.Piece?,
    usage: Bool
  ) {
    self.form = form
    self.stream = stream
    self.first = first
    includesUsage = usage
  }

  /// Writes all events; the status that the answer would have had, had all of it been known at its
  /// start.
  ///
  /// - Throws: where the client does not take them.
  func write(to writer: inout any ResponseBodyWriter) async throws -> Int {
    if let opening = form.opening { try await writer.write(Self.event(opening)) }
    var piece = first
    while let current = piece {
      switch current {
      case .text(let text): try await writer.write(Self.event(form.chunk(text)))
      case .end(let rest, let finish):
        if !rest.isEmpty { try await writer.write(Self.event(form.chunk(rest))) }
        try await writer.write(Self.event(form.chunk("", finish: finish)))
        if includesUsage {
          try await writer.write(Self.event(form.usageChunk(await stream.tokens)))
        }
        try await writer.write(ByteBuffer(string: "data: [DONE]\n\n"))
        return 200
      }
      do {
        piece = try await stream.next()
      } catch is CancellationError {
        throw CancellationError()
      } catch {
        let refusal = APIError(error)
        try await writer.write(Self.event(refusal.json))
        return refusal.status.code
      }
    }
    return 200
  }

  private static func event(_ json: JSONValue) -> ByteBuffer {
    ByteBuffer(string: "data: \(json.serialized(indent: nil))\n\n")
  }
}
