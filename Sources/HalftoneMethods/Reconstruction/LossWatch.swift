/// The course of a training's loss, and why the training must end early, if it must.
struct LossWatch {
  private(set) var first: Float?
  /// Moving average (0.95).
  private(set) var last: Float?
  var failure: String?

  /// Takes in a loss; false if it is not a number or ten times what the training began with.
  ///
  /// Soft roundings begin with no error at all, so the loss with hard codes counts as a beginning too.
  mutating func note(_ loss: Float, _ step: Int, hard: Float?) -> Bool {
    guard loss.isFinite else {
      failure = "the loss was not a number at iteration \(step)"
      return false
    }
    if first == nil { first = loss }
    let average = last.map { 0.95 * $0 + 0.05 * loss } ?? loss
    last = average
    let beginning = max(first ?? 0, hard ?? 0)
    guard beginning > 0, average > 10 * beginning else { return true }
    failure = "the loss rose tenfold by iteration \(step)"
    return false
  }

  /// Takes in gradients; false if one is not a number.
  mutating func note(gradientsAreFinite: Bool, _ step: Int) -> Bool {
    if !gradientsAreFinite { failure = "a gradient was not a number at iteration \(step)" }
    return gradientsAreFinite
  }

  /// What to say where the training failed and the state of `iteration` is kept.
  func warning(keeping iteration: Int) -> String? {
    failure.map { "\($0); the state of iteration \(iteration) is kept. Lower the learning rate" }
  }
}

extension BlockSolution {
  /// What to say where fewer than nine in ten roundings had settled; `remedy` would help.
  static func unsettled(_ share: Float, remedy: String) -> String? {
    guard share < 0.9 else { return nil }
    return "\(Int(share * 100)) % of the roundings had settled when the training ended; the others "
      + "were rounded: use \(remedy)"
  }
}
