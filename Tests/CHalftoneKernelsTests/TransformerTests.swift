// SPDX-License-Identifier: MIT
import CHalftoneKernels
import Foundation
import Testing

@Suite("Rows of a transformer")
struct TransformerTests {
  @Test("RMS norm and its pullback", arguments: [1, 15, 16, 48, 67])
  func rmsNorm(n: Int) throws {
    let kernels = try generic()
    var random = Generator(seed: 10)
    let (x, w, dy) = (random.uniform(n), random.uniform(n), random.uniform(n))
    let (xs, ws, dys) = (x.map(Double.init), w.map(Double.init), dy.map(Double.init))
    let expected = 1 / (xs.map { $0 * $0 }.reduce(0, +) / Double(n) + 1e-5).squareRoot()
    var r: Float = 0
    let out = output(n) { r = kernels.rms_norm(x, w, 1e-5, $0, n) }
    #expect(ulps(r, expected) <= 4)
    #expect(near(out, zip(xs, ws).map { $0 * expected * $1 }, 1e-6))

    let start = random.uniform(n)
    var dx: [Float] = []
    let dw = written(start, guardedBy: 0) { dw in
      dx = output(n) { kernels.rms_norm_pullback(x, w, dy, r, $0, dw, n) }
    }
    let scale = Double(r)
    let sum = (0..<n).map { ws[$0] * dys[$0] * xs[$0] }.reduce(0, +)
    let wanted = (0..<n).map { i in
      scale * ws[i] * dys[i] - xs[i] * scale * scale * scale / Double(n) * sum
    }
    #expect(near(dx, wanted, 1e-5))
    #expect(near(dw, (0..<n).map { Double(start[$0]) + dys[$0] * xs[$0] * scale }, 1e-6))
  }

  @Test("softmax and its pullback", arguments: [1, 16, 33, 1000])
  func softmax(n: Int) throws {
    let kernels = try generic()
    var random = Generator(seed: 11)
    let (x, dp) = (random.uniform(n, -30...30), random.uniform(n))
    let alpha = Double(Float(0.6))
    let raised = x.map { exp(alpha * Double($0)) }
    let total = raised.reduce(0, +)
    var result: Float = 0
    let p = written(x, guardedBy: 0) { result = kernels.softmax($0, 0.6, n) }
    #expect(near(p, raised.map { $0 / total }, 1e-6))
    #expect(near([result], [log(total)], 1e-6))

    let common = zip(p, dp).map { Double($0) * Double($1) }.reduce(0, +)
    let ds = output(n) { kernels.softmax_pullback(p, dp, 0.6, $0, n) }
    #expect(near(ds, zip(p, dp).map { alpha * Double($0) * (Double($1) - common) }, 1e-6))
  }

  @Test("softmax gives masked entries nothing and a lone one everything")
  func softmaxMasked() throws {
    let kernels = try generic()
    let p = written([3, -.infinity, -.infinity] as [Float], guardedBy: 0) { x in
      #expect(kernels.softmax(x, 1, 3) == 3)
    }
    #expect(p == [1, 0, 0])
  }

  @Test("SiLU times up, and its pullback")
  func silu() throws {
    let kernels = try generic()
    var random = Generator(seed: 12)
    let n = 333
    let (gate, up, dy) = (random.uniform(n, -20...20), random.uniform(n), random.uniform(n))
    let out = output(n) { kernels.silu_multiply(gate, up, $0, n) }
    var dgate: [Float] = []
    let dup = output(n) { dup in
      dgate = output(n) { kernels.silu_multiply_pullback(gate, up, dy, $0, dup, n) }
    }
    let (g, u, d) = (gate.map(Double.init), up.map(Double.init), dy.map(Double.init))
    let s = g.map { 1 / (1 + exp(-$0)) }
    #expect(near(out, (0..<n).map { g[$0] * s[$0] * u[$0] }, 1e-6))
    #expect(near(dup, (0..<n).map { d[$0] * g[$0] * s[$0] }, 1e-6))
    let slopes = (0..<n).map { i -> Double in
      let own = s[i] + g[i] * s[i] * (1 - s[i])
      return d[i] * u[i] * own
    }
    #expect(near(dgate, slopes, 2e-6))
  }

  @Test("rotation keeps lengths and follows its formula", arguments: [1, 16, 24])
  func rotate(half: Int) throws {
    let kernels = try generic()
    var random = Generator(seed: 13)
    let x = random.uniform(2 * half)
    let angles = random.uniform(half)
    let (c, s) = (angles.map { cos($0) }, angles.map { sin($0) })
    let out = output(2 * half) { kernels.rotate(x, c, s, $0, half) }
    let expected = (0..<2 * half).map { i -> Double in
      let j = i % half
      let (a, b) = (Double(x[j]), Double(x[half + j]))
      let (cosine, sine) = (Double(c[j]), Double(s[j]))
      return i < half ? a * cosine - b * sine : b * cosine + a * sine
    }
    #expect(near(out, expected, 1e-6))
    #expect(near([kernels.dot(out, out, 2 * half)], [Double(kernels.dot(x, x, 2 * half))], 1e-5))
  }

  @Test("one Adam step")
  func adam() throws {
    let kernels = try generic()
    var random = Generator(seed: 14)
    let n = 133
    let (x, g, m) = (random.uniform(n), random.uniform(n), random.uniform(n))
    let v = random.uniform(n, 0...4)
    var (first, second): ([Float], [Float]) = ([], [])
    let moved = written(x, guardedBy: 0) { x in
      first = written(m, guardedBy: 0) { m in
        second = written(v, guardedBy: 0) { v in
          kernels.adam(x, g, m, v, 0.01, 0.9, 0.99, 0.271, 0.0297, 1e-8, n)
        }
      }
    }
    let wantedFirst = (0..<n).map { 0.9 * Double(m[$0]) + 0.1 * Double(g[$0]) }
    let wantedSecond = (0..<n).map { 0.99 * Double(v[$0]) + 0.01 * Double(g[$0] * g[$0]) }
    #expect(near(first, wantedFirst, 1e-6))
    #expect(near(second, wantedSecond, 1e-6))
    let wanted = (0..<n).map { i -> Double in
      let deviation = (wantedSecond[i] / 0.0297).squareRoot()
      let mean = wantedFirst[i] / 0.271
      return Double(x[i]) - 0.01 * mean / (deviation + 1e-8)
    }
    #expect(near(moved, wanted, 1e-6))
  }
}
