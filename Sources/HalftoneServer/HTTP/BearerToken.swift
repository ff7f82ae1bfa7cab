import Hummingbird

/// The secret that clients must know.
struct BearerToken: Sendable {
  private let secret: [UInt8]

  init(_ secret: String) { self.secret = Array(secret.utf8) }

  /// Whether a request carries it; the time depends on the length of the secret alone.
  func isIn(_ headers: HTTPFields) -> Bool {
    let value = headers[.authorization] ?? ""
    let scheme = "Bearer "
    guard value.prefix(scheme.count).lowercased() == scheme.lowercased() else { return false }
    return matches(Array(value.dropFirst(scheme.count).utf8))
  }

  func matches(_ candidate: [UInt8]) -> Bool {
    var difference = UInt(bitPattern: candidate.count ^ secret.count)
    for index in secret.indices {
      // An index that is always in range, so that no branch tells how much agrees.
      let other = candidate.isEmpty ? 0 : candidate[index % candidate.count]
      difference |= UInt(secret[index] ^ other)
    }
    return difference == 0
  }
}
