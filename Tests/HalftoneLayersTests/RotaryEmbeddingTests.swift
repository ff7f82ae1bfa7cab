import Foundation
import HalftoneLayers
import HalftoneTensor
import Testing

@Suite struct RotaryEmbeddingTests {
  @Test func `angles are position times a power of theta`() {
    let rotary = RotaryEmbedding(headWidth: 4, theta: 100)
    #expect(rotary.frequencies == [1, 0.1])
    let (cosine, sine) = rotary.angles(3..<5)
    #expect(cosine.values == [cosf(3), cosf(3 * 0.1), cosf(4), cosf(4 * 0.1)])
    #expect(sine.values == [sinf(3), sinf(3 * 0.1), sinf(4), sinf(4 * 0.1)])
    #expect(cosine.shape == [2, 2])
  }

  @Test func `linear scaling divides every frequency`() {
    let rotary = RotaryEmbedding(headWidth: 4, theta: 100, scaling: .linear(factor: 4))
    #expect(rotary.frequencies == [0.25, 0.025])
  }

  /// With original = 2π·1000 the turns are 1000·frequency: 1000, 31.6, 1, 0.0316.
  @Test func `llama3 scaling keeps short waves, divides long ones and blends between`() {
    let rotary = RotaryEmbedding(
      headWidth: 8, theta: 1e6,
      scaling: .llama3(factor: 8, low: 1, high: 51, original: 2000 * .pi))
    let plain = RotaryEmbedding(headWidth: 8, theta: 1e6).frequencies
    let kept = (1000 * pow(1e6, -0.25) - 1) / 50
    let blend = Float(pow(1e6, -0.25) * (kept + (1 - kept) / 8))
    #expect(rotary.frequencies[0] == plain[0])
    #expect(abs(rotary.frequencies[1] - blend) < 1e-8)
    #expect(abs(rotary.frequencies[2] - plain[2] / 8) < 1e-10)
    #expect(rotary.frequencies[3] == plain[3] / 8)
  }
}
