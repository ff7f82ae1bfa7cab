import Foundation
import HalftoneCheckpoints
import HalftoneInference
import Hummingbird
import NIOCore
import NIOHTTP1

extension APIResponder {
  /// Generates, and answers in one document or in a stream of events.
  func complete(
    _ kind: CompletionRequest.Kind, _ request: Request, _ context: ServerContext,
    _ start: ContinuousClock.Instant
  ) async throws -> Answer {
    connections.arrives(context.channel)
    let body = try await body(of: request)
    connections.works(context.channel)
    let wanted = try CompletionRequest(
      kind, RequestFields(body.readableBytesView), model, capacity: scheduler.capacity)
    let rest = options.timeLimit - start.duration(to: .now)
    // Found before the work begins: a client that has gone already must not have any done.
    guard let watch = await context.watch() else { throw CancellationError() }
    let scheduled = try submit(wanted, timeLimit: rest)
    watch.watch { scheduled.cancel() }
    let stream: CompletionStream
    let first: CompletionStream.Piece?
    do {
      stream = try CompletionStream(wanted, scheduled, model.tokenizer)
      // Until the first piece is there, an error still can be an answer of its own.
      first = try await stream.next()
      metrics.firstToken(after: start.duration(to: .now))
    } catch {
      scheduled.cancel()
      watch.watch(nil)
      throw error
    }
    let form = CompletionForm(kind, model: model.name, promptTokens: wanted.prompt.count)
    guard wanted.streams else {
      defer { watch.watch(nil) }
      return try await Answer(response: whole(form, stream, first))
    }
    let events = EventStream(form, stream, first, usage: wanted.includesUsage)
    return Answer(response: response(kind, events, context, watch, start), isStream: true)
  }

  private func submit(
    _ wanted: CompletionRequest, timeLimit: Duration
  ) throws -> ScheduledGeneration {
    do {
      return try scheduler.submit(wanted.prompt, wanted.options, timeLimit: timeLimit)
    } catch let error as GenerationError {
      // The options are checked already; what is left are ids outside the vocabulary.
      throw APIError.invalid(error.description, wanted.kind.source)
    }
  }

  private func whole(
    _ form: CompletionForm, _ stream: CompletionStream, _ first: CompletionStream.Piece?
  ) async throws -> Response {
    var text = ""
    var piece = first
    while let current = piece {
      switch current {
      case .text(let more): text += more
      case .end(let rest, let finish):
        return Response(form.whole(text + rest, finish: finish, tokens: await stream.tokens))
      }
      piece = try await stream.next()
    }
    throw CancellationError()
  }

  private func response(
    _ kind: CompletionRequest.Kind, _ events: EventStream, _ context: ServerContext,
    _ watch: ConnectionWatch, _ start: ContinuousClock.Instant
  ) -> Response {
    let endpoint = kind == .chat ? Endpoint.chat : .completions
    // A client that does not read would hold its connection for ever.
    let rest = options.timeLimit - start.duration(to: .now) + .seconds(10)
    let body = ResponseBody { writer in
      let channel = context.channel
      let limit = channel.eventLoop.scheduleTask(in: TimeAmount(rest)) {
        channel.close(promise: nil)
      }
      var status = 499
      defer {
        limit.cancel()
        watch.watch(nil)
        events.stream.scheduled.cancel()
        ended(endpoint, status, context, start)
      }
      status = try await events.write(to: &writer)
      try await writer.finish(nil)
    }
    return Response(
      status: .ok, headers: [.contentType: "text/event-stream", .cacheControl: "no-cache"],
      body: body)
  }

  /// The whole body, if it is JSON, small enough and comes in time.
  private func body(of request: Request) async throws -> ByteBuffer {
    let type = request.headers[.contentType]?.prefix { $0 != ";" } ?? ""
    guard type.trimmingCharacters(in: .whitespaces).lowercased() == "application/json" else {
      throw APIError.wrongType
    }
    let largest = options.largestBody
    if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > largest {
      throw APIError.tooLarge(largest)
    }
    let limit = min(options.timeLimit, .seconds(60))
    return try await withThrowingTaskGroup(of: ByteBuffer.self) { group in
      group.addTask {
        do {
          return try await request.body.collect(upTo: largest)
        } catch is NIOTooManyBytesError {
          throw APIError.tooLarge(largest)
        } catch HTTPParserError.invalidEOFState {
          // The client has gone before the end of the body.
          throw CancellationError()
        }
      }
      group.addTask {
        try await Task.sleep(for: limit)
        throw SchedulerError.timedOut(limit)
      }
      defer { group.cancelAll() }
      guard let body = try await group.next() else { throw CancellationError() }
      return body
    }
  }
}
