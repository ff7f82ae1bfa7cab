import HalftoneCheckpoints
import NIOCore
import NIOHTTP1

/// Gives the refusal of a request that cannot be decoded the form of all others.
///
/// The channel answers such a request before any responder sees it, by a 400 without a body.
final class DecoderRefusal: ChannelOutboundHandler, Sendable {
  typealias OutboundIn = HTTPServerResponsePart
  typealias OutboundOut = HTTPServerResponsePart

  private static let refusal = APIError.invalid(
    "the request is not well-formed HTTP, or its head is too large"
  ).json.serialized(indent: nil)

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    guard case .head(var head) = Self.unwrapOutboundIn(data), head.status == .badRequest,
      head.headers["Content-Length"] == ["0"]
    else {
      context.write(data, promise: promise)
      return
    }
    let body = ByteBuffer(string: Self.refusal)
    head.headers.replaceOrAdd(name: "Content-Length", value: "\(body.readableBytes)")
    head.headers.replaceOrAdd(name: "Content-Type", value: "application/json")
    context.write(Self.wrapOutboundOut(.head(head)), promise: promise)
    context.write(Self.wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
  }
}
