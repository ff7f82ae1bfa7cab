import Foundation
public import HalftoneTensor

/// How rotary frequencies are changed for sequences longer than those first trained on.
public enum RotaryScaling: Sendable, Equatable {
  case none
  /// Every frequency divided by `factor`: positions are interpolated (Chen et al., 2023).
  case linear(factor: Double)
  /// Llama 3.1: wavelengths above `original/low` are divided, those below `original/high` kept, and
  /// those between blended.
  case llama3(factor: Double, low: Double, high: Double, original: Double)
  /// Each frequency divided by a number of its own.
  case divisors([Double])
}

/// The angles of rotary position embedding (Su et al., 2021): position · θ^(−2i/d).
public struct RotaryEmbedding: Sendable, Equatable {
  /// One angle per position for each of the headWidth/2 pairs.
  public let frequencies: [Float]

  /// The angles for heads of the even width `headWidth` with base `theta`.
  public init(headWidth: Int, theta: Double, scaling: RotaryScaling = .none) {
    precondition(headWidth > 0 && headWidth % 2 == 0 && theta > 0)
    if case .divisors(let all) = scaling { precondition(all.count == headWidth / 2) }
    frequencies = (0..<headWidth / 2).map { i in
      Float(Self.scaled(pow(theta, -2 * Double(i) / Double(headWidth)), i, scaling))
    }
  }

  private static func scaled(_ frequency: Double, _ i: Int, _ scaling: RotaryScaling) -> Double {
    switch scaling {
    case .none: return frequency
    case .linear(let factor): return frequency / factor
    case .divisors(let divisors): return frequency / divisors[i]
    case .llama3(let factor, let low, let high, let original):
      let turns = original * frequency / (2 * .pi)
      // Turns in the original length: at most `low` is divided, at least `high` is kept.
      let kept = min(max((turns - low) / (high - low), 0), 1)
      return (1 - kept) * frequency / factor + kept * frequency
    }
  }

  /// Cosine and sine of the angles of `positions`: two tensors [positions, headWidth/2].
  ///
  /// The angle is rounded to `Float` before its cosine is taken, as it was when the networks were
  /// trained: at thousands of radians that shows.
  public func angles(_ positions: Range<Int>) -> (cosine: Tensor, sine: Tensor) {
    let width = frequencies.count
    func table(_ function: (Float) -> Float) -> Tensor {
      Tensor(shape: [positions.count, width]) { out in
        for (row, position) in positions.enumerated() {
          for i in 0..<width { out[row * width + i] = function(Float(position) * frequencies[i]) }
        }
      }
    }
    return (table(cosf), table(sinf))
  }
}
