import Foundation
import Synchronization

/// Whether the user asked the program to stop.
enum Interruption {
  private static let requested = Atomic<Bool>(false)

  static var isRequested: Bool { requested.load(ordering: .relaxed) }

  /// From now on SIGINT and SIGTERM ask for an end at the next good place; a second one ends at once.
  static func listen() {
    for number in [SIGINT, SIGTERM] {
      signal(number) { number in
        Interruption.requested.store(true, ordering: .relaxed)
        signal(number, SIG_DFL)
      }
    }
    // A limit on the size of files is then an error of the write, which says what to do.
    signal(SIGXFSZ, SIG_IGN)
  }
}
