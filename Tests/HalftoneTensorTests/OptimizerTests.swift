import Foundation
import HalftoneTensor
import HalftoneTestSupport
import Testing

/// Adam and its schedule against the textbook in double precision.
@Suite struct OptimizerTests {
  /// Kingma and Ba (2015), algorithm 1.
  private struct Reference {
    var x: [Double]
    var m: [Double]
    var v: [Double]

    init(_ x: Tensor) {
      self.x = x.values.map(Double.init)
      m = self.x.map { _ in 0 }
      v = m
    }

    mutating func update(_ gradient: [Double], step: Int, rate: Double) {
      for (i, g) in gradient.enumerated() {
        m[i] = 0.9 * m[i] + 0.1 * g
        v[i] = 0.999 * v[i] + 0.001 * g * g
        let (mean, square) = (
          m[i] / (1 - pow(0.9, Double(step))), v[i] / (1 - pow(0.999, Double(step)))
        )
        x[i] -= rate * mean / (square.squareRoot() + 1e-8)
      }
    }
  }

  @Test func agreesWithTheRecurrence() {
    var parameters = [normal([3, 5], 1), normal([17], 2), normal([40_000], 3)].map { $0.tracked() }
    var references = parameters.map { Reference($0) }
    let rates: [Float] = [1e-2, 3e-3, 1e-1]
    var adam = Adam()
    for step in 1...50 {
      let gradients = parameters.indices.map { normal(parameters[$0].shape, UInt64(step * 3 + $0)) }
      adam.update(&parameters, gradients, rates: rates)
      for (i, gradient) in gradients.enumerated() {
        references[i].update(
          gradient.values.map(Double.init), step: step, rate: Double(rates[i]))
      }
    }
    for (parameter, reference) in zip(parameters, references) {
      expectClose(parameter.values, reference.x.map { Float($0) }, tolerance: 3e-6)
      #expect(parameter.needsGradient)
    }
  }

  @Test func leavesOldParametersAsTheyWere() {
    var parameters = [normal([64, 128], 4)]
    let start = parameters[0]
    var history = [start.values]
    var held = [start]
    var adam = Adam()
    for step in 0..<5 {
      adam.update(&parameters, [normal([64, 128], UInt64(step))], rate: 0.1)
      history.append(parameters[0].values)
      held.append(parameters[0])
    }
    #expect(held.map(\.values) == history)
    #expect(Set(history).count == 6)
  }

  @Test func findsAMinimum() {
    let target = normal([20], 5)
    var parameters = [Tensor(repeating: 0, shape: [20]).tracked()]
    var adam = Adam()
    for step in 0..<400 {
      let loss = parameters[0].squaredError(to: target, dividedBy: 1)
      adam.update(
        &parameters, loss.gradients(of: parameters),
        rate: CosineSchedule(start: 0.1, steps: 400).rate(at: step))
    }
    expectClose(parameters[0].values, target.values, tolerance: 1e-3)
  }

  @Test func cosineScheduleIsItsClosedForm() {
    let schedule = CosineSchedule(start: 3, steps: 8)
    #expect(schedule.rate(at: 0) == 3)
    // cos(π/4) = 1/√2; one rounding before and one after the product with 3.
    expectClose([schedule.rate(at: 2)], [Float(1.5 * (1 + 0.5.squareRoot()))], tolerance: 2e-7)
    #expect(schedule.rate(at: 4) == 1.5)
    #expect(schedule.rate(at: 8) == 0)
    #expect(CosineSchedule(start: 2, steps: 6).rate(at: 2) == 1.5)  // cos(π/3) = ½
    for step in 0..<8 { #expect(schedule.rate(at: step) > schedule.rate(at: step + 1)) }
  }
}
