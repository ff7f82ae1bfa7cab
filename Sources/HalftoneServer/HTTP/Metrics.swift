import Foundation
import HalftoneInference
import Synchronization

/// What the server counts, in the text form of Prometheus.
final class Metrics: Sendable {
  private struct Histogram {
    static let bounds = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300]
    var counts = [Int](repeating: 0, count: bounds.count + 1)
    var sum = 0.0

    mutating func add(_ seconds: Double) {
      counts[Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count] += 1
      sum += seconds
    }

    func lines(_ name: String) -> [String] {
      var total = 0
      var lines = ["# TYPE \(name) histogram"]
      for (bound, count) in zip(Self.bounds.map { "\($0)" } + ["+Inf"], counts) {
        total += count
        lines.append("\(name)_bucket{le=\"\(bound)\"} \(total)")
      }
      return lines + ["\(name)_sum \(sum)", "\(name)_count \(total)"]
    }
  }

  private struct State {
    var requests: [String: Int] = [:]
    var duration = Histogram()
    var firstToken = Histogram()
  }

  private let state = Mutex(State())

  /// A request was answered with `status`; 499 if the client went before the end.
  func finished(_ endpoint: String, status: Int, after duration: Duration) {
    state.withLock { state in
      state.requests["path=\"\(endpoint)\",code=\"\(status)\"", default: 0] += 1
      state.duration.add(duration / .seconds(1))
    }
  }

  func firstToken(after duration: Duration) {
    state.withLock { $0.firstToken.add(duration / .seconds(1)) }
  }

  func text(_ statistics: SchedulerStatistics) -> String {
    let (requests, histograms) = state.withLock { state in
      (
        state.requests.sorted { $0.key < $1.key }.map { "halftone_requests_total{\($0)} \($1)" },
        state.duration.lines("halftone_request_seconds")
          + state.firstToken.lines("halftone_first_token_seconds")
      )
    }
    func counter(_ name: String, _ value: some Any) -> [String] {
      ["# TYPE halftone_\(name) counter", "halftone_\(name) \(value)"]
    }
    func gauge(_ name: String, _ value: Int) -> [String] {
      ["# TYPE \(name) gauge", "\(name) \(value)"]
    }
    let lines =
      ["# TYPE halftone_requests_total counter"] + requests + histograms
      + counter("generations_completed_total", statistics.completed)
      + counter("generations_cancelled_total", statistics.cancelled)
      + counter("generations_failed_total", statistics.failed)
      + counter("generations_rejected_total", statistics.rejected)
      + counter("prompt_tokens_total", statistics.promptTokens)
      + counter("generated_tokens_total", statistics.generatedTokens)
      + counter("engine_steps_total", statistics.steps)
      + counter("engine_seconds_total", statistics.busySeconds)
      + gauge("halftone_active_sequences", statistics.active)
      + gauge("halftone_queued_requests", statistics.queued)
      + (Self.residentBytes.map { gauge("process_resident_memory_bytes", $0) } ?? [])
    return lines.joined(separator: "\n") + "\n"
  }

  /// The memory the process holds now; nil where the system does not say.
  private static var residentBytes: Int? {
    guard let pages = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else {
      return nil
    }
    let fields = pages.split(separator: " ")
    guard fields.count > 1, let resident = Int(fields[1]) else { return nil }
    return resident * sysconf(Int32(_SC_PAGESIZE))
  }
}
