public import Foundation

/// Where the repository keeps what tests read.
public enum Repository {
  /// The absolute path of a file or folder, named from the root of the repository.
  public static func path(_ relative: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent(relative).path
  }

  /// The bytes of a file, named from the root of the repository.
  public static func data(_ relative: String) throws -> Data {
    try Data(contentsOf: URL(fileURLWithPath: path(relative)))
  }
}
