import HalftoneLayers
import HalftoneTensor

/// The rotary angles of the positions met so far.
final class RotaryTable {
  private let model: any LanguageModel
  private let half: Int
  private var cosines: [Float] = []
  private var sines: [Float] = []
  private static let step = 256

  init(_ model: any LanguageModel, headWidth: Int) {
    self.model = model
    half = headWidth / 2
  }

  /// Computes what is missing of the angles of positions below `count`.
  func reserve(_ count: Int) {
    while cosines.count < count * half {
      let context = model.context(batch: 1, length: Self.step, start: cosines.count / half)
      cosines.append(contentsOf: context.cosine.values)
      sines.append(contentsOf: context.sine.values)
    }
  }

  /// Cosines and sines of one reserved position, headWidth/2 of each.
  func withAngles(
    _ position: Int, _ body: (UnsafePointer<Float>, UnsafePointer<Float>) -> Void
  ) {
    cosines.withUnsafeBufferPointer { cosines in
      sines.withUnsafeBufferPointer { sines in
        guard let cosine = cosines.baseAddress, let sine = sines.baseAddress else { return }
        body(cosine + position * half, sine + position * half)
      }
    }
  }
}
