import HalftoneCheckpoints
import HalftoneInference
import Hummingbird
import NIOHTTP1

/// A refusal in the form that clients of OpenAI's interface expect.
struct APIError: Error {
  let status: HTTPResponse.Status
  let type: String
  let message: String
  var parameter: String?
  var code: String?
  var headers = HTTPFields()

  /// The request makes no sense, in its member `parameter` if that is known.
  static func invalid(_ message: String, _ parameter: String? = nil, code: String? = nil) -> Self {
    APIError(
      status: .badRequest, type: "invalid_request_error", message: message, parameter: parameter,
      code: code)
  }

  static func unsupported(_ parameter: String, _ message: String) -> Self {
    .invalid("'\(parameter)' \(message)", parameter, code: "unsupported_parameter")
  }

  static func notFound(
    _ message: String, _ parameter: String? = nil, code: String? = nil
  ) -> Self {
    APIError(
      status: .notFound, type: "invalid_request_error", message: message, parameter: parameter,
      code: code)
  }

  static func wrongMethod(allowed: String) -> Self {
    var error = APIError(
      status: .methodNotAllowed, type: "invalid_request_error",
      message: "this address answers \(allowed) only")
    error.headers[.allow] = allowed
    return error
  }

  static let unauthorized: Self = {
    var error = APIError(
      status: .unauthorized, type: "authentication_error",
      message: "the bearer token is missing or wrong", code: "invalid_api_key")
    error.headers[.wwwAuthenticate] = "Bearer"
    return error
  }()

  static func tooLarge(_ limit: Int) -> Self {
    APIError(
      status: .contentTooLarge, type: "invalid_request_error",
      message: "the body is larger than \(limit) bytes")
  }

  static let wrongType = APIError(
    status: .unsupportedMediaType, type: "invalid_request_error",
    message: "the body must be JSON, with Content-Type: application/json")

  /// What an error of the generation means to a client.
  init(_ error: any Error) {
    switch error {
    case let error as APIError: self = error
    case let error as GenerationError: self = .invalid(error.description)
    case is HTTPParserError: self = .invalid("the request is not well-formed HTTP: \(error)")
    case SchedulerError.queueFull:
      self.init(.tooManyRequests, "rate_limit_error", "\(error)", code: "queue_full")
      headers[.retryAfter] = "1"
    case SchedulerError.stopped:
      self.init(.serviceUnavailable, "server_error", "the server is shutting down")
    case SchedulerError.timedOut:
      self.init(.gatewayTimeout, "server_error", "\(error)", code: "timeout")
    default:
      self.init(.internalServerError, "server_error", "\(error)")
    }
  }

  private init(
    _ status: HTTPResponse.Status, _ type: String, _ message: String, code: String? = nil
  ) {
    self.init(status: status, type: type, message: message, code: code)
  }

  private init(
    status: HTTPResponse.Status, type: String, message: String, parameter: String? = nil,
    code: String? = nil
  ) {
    self.status = status
    self.type = type
    self.message = message
    self.parameter = parameter
    self.code = code
  }

  var json: JSONValue {
    [
      "error": [
        "message": .string(message), "type": .string(type),
        "param": parameter.map(JSONValue.string) ?? .null,
        "code": code.map(JSONValue.string) ?? .null,
      ]
    ]
  }

  var response: Response { Response(json, status: status, headers: headers) }
}

extension Response {
  /// A JSON document on one line.
  init(_ json: JSONValue, status: HTTPResponse.Status = .ok, headers: HTTPFields = .init()) {
    var headers = headers
    headers[.contentType] = "application/json"
    self.init(
      status: status, headers: headers,
      body: .init(byteBuffer: ByteBuffer(string: json.serialized(indent: nil))))
  }
}
