import Foundation

/// What this process has used.
public enum ProcessMemory {
  /// The most memory it held at once, in bytes.
  public static var peakBytes: Int {
    #if os(Linux)
    // What getrusage says includes the peak of the parent that started this process.
    if let peak = highWaterMark { return peak }
    #endif
    var usage = rusage()
    #if os(Linux)
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Int(usage.ru_maxrss) * 1024
    #else
    getrusage(RUSAGE_SELF, &usage)
    return Int(usage.ru_maxrss)
    #endif
  }

  #if os(Linux)
  /// "VmHWM: 12345 kB" of the program that runs now.
  private static var highWaterMark: Int? {
    guard let status = FileManager.default.contents(atPath: "/proc/self/status") else { return nil }
    let lines = String(decoding: status, as: UTF8.self).split(separator: "\n")
    let words = lines.first { $0.hasPrefix("VmHWM:") }?.split { $0 == " " || $0 == "\t" }
    return words.flatMap { $0.count > 1 ? Int($0[1]) : nil }.map { $0 * 1024 }
  }
  #endif
}
