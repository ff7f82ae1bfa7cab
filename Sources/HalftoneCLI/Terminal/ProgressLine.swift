import Foundation
import HalftonePipeline

/// One line on the terminal that says how far the work is and when it will end.
///
/// Nothing is drawn where standard error is no terminal.
final class ProgressLine {
  private let isShown: Bool
  private let isColored: Bool
  private let start = ContinuousClock().now
  private var last: ContinuousClock.Instant?
  private var isDrawn = false

  init(quiet: Bool) {
    isShown = (StandardError.isTerminal || Supervision.drawsProgress) && !quiet
    let noColor = ProcessInfo.processInfo.environment["NO_COLOR"] ?? ""
    isColored = noColor.isEmpty
  }

  /// Draws at most ten times a second.
  func update(_ phase: String, _ fraction: Double, loss: Float? = nil) {
    guard isShown else { return }
    let now = ContinuousClock().now
    if let last, now - last < .milliseconds(100) { return }
    last = now
    var line = "\(Self.bar(fraction)) \(ByteSize.fixed(fraction * 100, 0))% \(phase)"
    if let loss { line += "  loss \(loss)" }
    let elapsed = (now - start) / .seconds(1)
    if fraction > 0.01, elapsed > 1 {
      line += "  \(TimeSpan.text(elapsed * (1 - fraction) / fraction)) left"
    }
    let text = isColored ? "\u{1B}[36m\(line)\u{1B}[0m" : line
    StandardError.write("\r\u{1B}[K\(text)")
    isDrawn = true
  }

  /// Removes the line, before something else is printed.
  func clear() {
    guard isDrawn else { return }
    StandardError.write("\r\u{1B}[K")
    isDrawn = false
    last = nil
  }

  private static func bar(_ fraction: Double) -> String {
    let width = 24
    let done = min(width, max(0, Int(fraction * Double(width))))
    return "[" + String(repeating: "#", count: done) + String(repeating: ".", count: width - done)
      + "]"
  }
}
