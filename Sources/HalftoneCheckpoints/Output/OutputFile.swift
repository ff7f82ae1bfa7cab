import Foundation

/// A file being written under a temporary name; it gets its own when complete, or goes.
final class OutputFile {
  let path: String
  private let shown: String
  private let temporary: String
  private var descriptor: Int32

  /// Creates the file's temporary in the directory of `path`; errors name `shown`, or else `path`.
  init(path: String, naming shown: String? = nil) throws(CheckpointError) {
    self.path = path
    self.shown = shown ?? path
    temporary = siblingPath(of: path)
    descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    if descriptor < 0 { throw outputError(self.shown, errno, creating: true) }
  }

  deinit {
    guard descriptor >= 0 else { return }
    close(descriptor)
    unlink(temporary)
  }

  /// Writes `bytes` at `offset`; gaps that are never written hold zeros.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(CheckpointError) {
    var done = 0
    while done < bytes.count {
      // Linux writes at most 2^31 − 4096 bytes in one call.
      let count = min(bytes.count - done, 1 << 30)
      let written = pwrite(
        descriptor, bytes.baseAddress.map { $0 + done }, count, off_t(offset + done))
      if written < 0 && errno == EINTR { continue }
      guard written > 0 else { throw outputError(shown, written < 0 ? errno : ENOSPC) }
      done += written
    }
  }

  func write(_ bytes: [UInt8], at offset: Int) throws(CheckpointError) {
    let result = bytes.withUnsafeBytes { bytes in
      Result { () throws(CheckpointError) in try write(bytes, at: offset) }
    }
    try result.get()
  }

  /// Makes the file visible under its own name and, if asked, sure to survive a power failure.
  func finish(durably: Bool = true) throws(CheckpointError) {
    guard !durably || fsync(descriptor) == 0, close(descriptor) == 0 else {
      throw outputError(shown, errno)
    }
    descriptor = -1
    guard rename(temporary, path) == 0 else {
      let reason = errno
      unlink(temporary)
      throw outputError(shown, reason)
    }
  }
}

/// `.NAME.halftone-XXXXXXXX` beside `path`.
func siblingPath(of path: String) -> String {
  let url = URL(fileURLWithPath: path)
  let suffix = UInt32.random(in: 0 ... .max)
  let digits = String(suffix, radix: 16)
  let name =
    ".\(url.lastPathComponent).halftone-" + String(repeating: "0", count: 8 - digits.count) + digits
  return url.deletingLastPathComponent().appendingPathComponent(name).path
}

/// An error that names the output and the remedy for the system's `reason`.
func outputError(_ path: String, _ reason: Int32, creating: Bool = false) -> CheckpointError {
  let directory = URL(fileURLWithPath: path).deletingLastPathComponent().path
  let remedy =
    switch reason {
    case ENOSPC, EDQUOT: "free space on that disk or choose another output"
    case EROFS, EACCES, EPERM: "make \(directory) writable or choose another output"
    case ENOENT, ENOTDIR: "create the directory \(directory) first"
    case EFBIG: "lower the shard size, or raise the limit on the size of files"
    default: "check the disk or choose another output"
    }
  return CheckpointError(
    creating ? .cannotCreate : .io,
    "\(path): cannot be written: \(String(cString: strerror(reason))); \(remedy)")
}
