import Foundation
import HalftoneCheckpoints
import HalftoneInference
import Hummingbird
import Logging
import NIOCore

/// Answers every request of the server.
struct APIResponder: HTTPResponder {
  let model: ServedModel
  let scheduler: Scheduler
  let options: ServerOptions
  let token: BearerToken?
  let connections: OpenConnections
  let metrics = Metrics()

  init(
    _ model: ServedModel, _ scheduler: Scheduler, _ options: ServerOptions,
    _ connections: OpenConnections
  ) {
    self.model = model
    self.scheduler = scheduler
    self.options = options
    self.connections = connections
    token = options.apiKey.map(BearerToken.init)
  }

  /// An answer, and whether it counts itself when its stream ends.
  struct Answer {
    let response: Response
    var isStream = false
  }

  func respond(to request: Request, context: ServerContext) async throws -> Response {
    let start = ContinuousClock().now
    let endpoint = Endpoint(rawValue: request.uri.path)
    do {
      let answer = try await answer(endpoint, request, context, start)
      if !answer.isStream { ended(endpoint, answer.response.status.code, context, start) }
      return request.method == .head ? answer.response.createHeadResponse() : answer.response
    } catch is CancellationError {
      ended(endpoint, 499, context, start)
      return Response(status: .init(code: 499, reasonPhrase: "Client Closed Request"))
    } catch {
      let refusal = APIError(error)
      context.logger.debug("refused \(request.uri.path): \(refusal.status.code) \(refusal.message)")
      ended(endpoint, refusal.status.code, context, start)
      guard mayLeaveBody(request) else { return refusal.response }
      return closing(refusal, context)
    }
  }

  // MARK: - Bodies that nobody reads

  /// Whether a refused request may go on sending more than a body may have.
  private func mayLeaveBody(_ request: Request) -> Bool {
    let length = request.headers[.contentLength].flatMap { Int($0) } ?? 0
    return request.headers[.transferEncoding] != nil || length > options.largestBody
  }

  /// The refusal, after which the connection ends.
  ///
  /// The channel would read on for as long as the client sends. A second lets the client find the
  /// answer before the connection breaks.
  private func closing(_ refusal: APIError, _ context: ServerContext) -> Response {
    let channel = context.channel
    channel.eventLoop.scheduleTask(in: .seconds(1)) { channel.close(promise: nil) }
    var response = refusal.response
    response.headers[.connection] = "close"
    return response
  }

  enum Endpoint: String {
    case health = "/health"
    case metrics = "/metrics"
    case models = "/v1/models"
    case completions = "/v1/completions"
    case chat = "/v1/chat/completions"

    /// The methods it answers.
    var methods: [HTTPRequest.Method] {
      switch self {
      case .health, .metrics, .models: [.get, .head]
      case .completions, .chat: [.post]
      }
    }
  }

  /// The request is over: counts it, and lets its connection give way to others.
  func ended(
    _ endpoint: Endpoint?, _ status: Int, _ context: ServerContext,
    _ start: ContinuousClock.Instant
  ) {
    connections.rests(context.channel)
    metrics.finished(
      endpoint?.rawValue ?? "other", status: status, after: start.duration(to: .now))
  }

  private func answer(
    _ endpoint: Endpoint?, _ request: Request, _ context: ServerContext,
    _ start: ContinuousClock.Instant
  ) async throws -> Answer {
    if endpoint != .health, let token, !token.isIn(request.headers) {
      throw APIError.unauthorized
    }
    guard let endpoint else {
      if let name = modelName(request.uri.path) { return try Answer(response: describe(name)) }
      throw APIError.notFound("there is nothing at \(request.uri.path)")
    }
    guard endpoint.methods.contains(request.method) else {
      throw APIError.wrongMethod(
        allowed: endpoint.methods.map(\.rawValue).joined(separator: ", "))
    }
    switch endpoint {
    case .health: return Answer(response: Response(["status": "ok", "model": .string(model.name)]))
    case .metrics: return Answer(response: metricsPage)
    case .models:
      return Answer(response: Response(["object": "list", "data": [modelDescription]]))
    case .completions: return try await complete(.text, request, context, start)
    case .chat: return try await complete(.chat, request, context, start)
    }
  }

  // MARK: - Small answers

  private var metricsPage: Response {
    Response(
      status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
      body: .init(byteBuffer: ByteBuffer(string: metrics.text(scheduler.statistics))))
  }

  private var modelDescription: JSONValue {
    [
      "id": .string(model.name), "object": "model",
      "created": .number(JSONNumber(model.created)), "owned_by": "halftone",
      "context_length": .number(JSONNumber(scheduler.capacity)),
    ]
  }

  private func modelName(_ path: String) -> String? {
    let prefix = Endpoint.models.rawValue + "/"
    guard path.hasPrefix(prefix) else { return nil }
    let name = String(path.dropFirst(prefix.count))
    return name.removingPercentEncoding ?? name
  }

  private func describe(_ name: String) throws(APIError) -> Response {
    guard name == model.name else {
      throw .notFound(
        "there is no model '\(name)'; this server has '\(model.name)'", code: "model_not_found")
    }
    return Response(modelDescription)
  }
}
