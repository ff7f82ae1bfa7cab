import Foundation
import HalftoneTestSupport

/// The model and text that tests run on.
enum Fixture {
  static let model = Repository.path("Resources/models/stories260k")
  static let text = Repository.path("Resources/text/tinystories-calibration.txt")

  /// A text that was written by hand or checked by hand.
  static func golden(_ path: String) throws -> String {
    String(decoding: try Repository.data(path), as: UTF8.self)
  }
}
