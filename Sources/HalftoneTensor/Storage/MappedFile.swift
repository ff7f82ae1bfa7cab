import Foundation

/// A file mapped read-only into memory; unmapped when the last reference goes.
///
/// Pages are read when touched, so opening a file of any size costs neither time nor memory.
public final class MappedFile: @unchecked Sendable {
  public let path: String
  public let bytes: UnsafeRawBufferPointer

  /// Maps the regular file at `path`.
  ///
  /// - Throws: `MappedFileError` naming the file and the system's reason.
  public init(path: String) throws {
    // Without O_NONBLOCK, opening a named pipe waits for a writer.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw MappedFileError(path: path, reason: errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw MappedFileError(path: path, reason: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      let isFolder = status.st_mode & S_IFMT == S_IFDIR
      throw MappedFileError(path: path, reason: isFolder ? EISDIR : ENOTSUP)
    }
    let count = Int(status.st_size)
    self.path = path
    guard count > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    guard let base = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED
    else { throw MappedFileError(path: path, reason: errno) }
    bytes = UnsafeRawBufferPointer(start: base, count: count)
  }

  deinit {
    guard let base = bytes.baseAddress else { return }
    munmap(UnsafeMutableRawPointer(mutating: base), bytes.count)
  }

  /// Tells the system that the pages of `range` will not be needed again soon.
  public func evict(_ range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count, "\(range) of \(path)")
    guard let base = bytes.baseAddress, !range.isEmpty else { return }
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let start = range.lowerBound / page * page
    madvise(
      UnsafeMutableRawPointer(mutating: base + start), range.upperBound - start, MADV_DONTNEED)
  }
}

/// Why a file could not be mapped.
public struct MappedFileError: Error, Equatable, CustomStringConvertible {
  public let path: String
  /// The system's error number (`errno`).
  public let reason: Int32

  public var description: String { "\(path): \(String(cString: strerror(reason)))" }
}
