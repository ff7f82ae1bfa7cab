/// One thing that is wrong with a checkpoint.
public struct CheckpointProblem: Encodable, Equatable, Sendable {
  /// The tensor, layer or file.
  public var name: String
  /// What is wrong with it.
  public var problem: String
  /// What to do.
  public var remedy: String

  public init(_ name: String, _ problem: String, remedy: String) {
    self.name = name
    self.problem = problem
    self.remedy = remedy
  }

  /// What reading `name` of the checkpoint at `path` threw.
  public init(_ name: String, _ error: any Error, at path: String) {
    var text = "\(error)"
    for prefix in [path + ": ", path + "/", "\(name): "] where text.hasPrefix(prefix) {
      text = String(text.dropFirst(prefix.count))
    }
    var remedy = "fetch or write the checkpoint again"
    // Messages end in what to do.
    if let end = text.lastIndex(of: ";") {
      let last = text[text.index(after: end)...].drop { $0 == " " }
      if Self.verbs.contains(where: { last.hasPrefix($0 + " ") }) {
        remedy = String(last)
        text = String(text[..<end])
      }
    }
    self.init(name, text, remedy: remedy)
  }

  private static let verbs = [
    "add", "choose", "convert", "correct", "fetch", "get", "make", "name", "put", "quantize",
    "remove", "repair",
    "restore", "save", "set", "use", "write",
  ]
}
