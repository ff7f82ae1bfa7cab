import Foundation

/// Files and directories of a run, made durable, with errors that say what to do.
enum SystemFile {
  /// Creates `path` with `data`: written beside, flushed to disk, renamed.
  static func write(_ data: Data, to path: String) throws {
    let temporary = path + ".part"
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw failure(path, errno, creating: true) }
    do {
      try data.withUnsafeBytes { try write($0, to: descriptor, path) }
      guard fsync(descriptor) == 0 else { throw failure(path, errno) }
    } catch {
      close(descriptor)
      unlink(temporary)
      throw error
    }
    close(descriptor)
    try move(temporary, to: path)
  }

  private static func write(
    _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, _ path: String
  ) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let piece = UnsafeRawBufferPointer(rebasing: rest)
      let written = Foundation.write(descriptor, piece.baseAddress, min(piece.count, 1 << 30))
      if written < 0, errno == EINTR { continue }
      guard written > 0 else { throw failure(path, written < 0 ? errno : ENOSPC) }
      rest = rest.dropFirst(written)
    }
  }

  static func move(_ source: String, to target: String) throws {
    guard rename(source, target) == 0 else {
      let reason = errno
      throw failure(target, reason, creating: true)
    }
    flushDirectory(of: target)
  }

  static func createDirectory(_ path: String) throws {
    guard mkdir(path, 0o755) == 0 else { throw failure(path, errno, creating: true) }
  }

  static func exists(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0
  }

  static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  static func remove(_ path: String) throws {
    guard exists(path) else { return }
    do {
      try FileManager.default.removeItem(atPath: path)
    } catch {
      throw PipelineError(.inputOutput, "cannot be removed: \(error)", at: path)
    }
  }

  /// A rename is durable once its directory is; where that cannot be asked for, the data still is.
  private static func flushDirectory(of path: String) {
    let descriptor = open((path as NSString).deletingLastPathComponent, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
  }

  /// An error for the system's `reason`, with the remedy.
  static func failure(_ path: String, _ reason: Int32, creating: Bool = false) -> PipelineError {
    let parent = (path as NSString).deletingLastPathComponent
    let remedy =
      switch reason {
      case ENOSPC, EDQUOT: "free space on that disk, or choose another output"
      case EROFS, EACCES, EPERM: "make \(parent) writable, or choose another output"
      case ENOENT, ENOTDIR: "create the directory \(parent) first"
      case EFBIG: "raise the limit on the size of files"
      default: "check the disk, or choose another output"
      }
    return PipelineError(
      creating ? .cannotCreate : .inputOutput,
      "cannot be written: \(String(cString: strerror(reason))); \(remedy)", at: path)
  }
}
