/// Spans of time, as people write them.
public enum TimeSpan {
  /// "0.4 s", "12 s", "3 min 5 s", "2 h 10 min".
  public static func text(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e12 else { return "for ever" }
    if seconds < 10 { return "\(ByteSize.fixed(seconds, 1)) s" }
    let whole = Int(seconds.rounded())
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
    return "\(whole / 3600) h \(whole % 3600 / 60) min"
  }
}
