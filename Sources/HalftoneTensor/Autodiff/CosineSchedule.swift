import Foundation

/// A step size that falls from `start` to 0 along half a cosine over `steps` steps.
public struct CosineSchedule: Sendable {
  public let start: Float
  public let steps: Int

  public init(start: Float, steps: Int) {
    precondition(steps > 0)
    self.start = start
    self.steps = steps
  }

  /// start·(1 + cos(π·step/steps))/2.
  public func rate(at step: Int) -> Float {
    start * Float(0.5 * (1 + cos(Double.pi * Double(step) / Double(steps))))
  }
}
