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
    unblock()
    // A limit on the size of files is then an error of the write, which says what to do.
    signal(SIGXFSZ, SIG_IGN)
  }

  /// Lets SIGINT and SIGTERM through: a parent that blocks signals on its threads hands that on to
  /// its children.
  static func unblock() {
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in [SIGINT, SIGTERM] { sigaddset(&signals, number) }
    sigprocmask(SIG_UNBLOCK, &signals, nil)
  }
}
