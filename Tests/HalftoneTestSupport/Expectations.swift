public import HalftoneTensor
public import Testing

/// Expects every element of `actual` to be within `tolerance` of `expected`, relative to the largest
/// expected magnitude; reports the worst one.
public func expectClose(
  _ actual: [Float], _ expected: [Float], tolerance: Float,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  guard actual.count == expected.count else {
    Issue.record(
      "\(actual.count) elements, expected \(expected.count)", sourceLocation: sourceLocation)
    return
  }
  let scale = max(expected.map { abs($0) }.max() ?? 0, .leastNormalMagnitude)
  let errors = zip(actual, expected).map { abs($0 - $1) / scale }
  guard let worst = errors.indices.max(by: { !(errors[$1] <= errors[$0]) }) else { return }
  #expect(
    errors[worst] <= tolerance,
    "element \(worst): \(actual[worst]), expected \(expected[worst]); relative error \(errors[worst])",
    sourceLocation: sourceLocation)
}

public func expectClose(
  _ actual: Tensor, _ expected: Tensor, tolerance: Float,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(actual.shape == expected.shape, sourceLocation: sourceLocation)
  expectClose(actual.values, expected.values, tolerance: tolerance, sourceLocation: sourceLocation)
}

/// Expects the gradient of a random projection of `function` to agree with central differences along
/// a random direction of all inputs at once.
///
/// With steps of 10⁻² the differences are good to about 10⁻⁴ of the gradient in `Float`.
public func checkGradient(
  at inputs: [Tensor], seed: UInt64 = 1, tolerance: Float = 3e-3,
  sourceLocation: SourceLocation = #_sourceLocation, of function: ([Tensor]) -> Tensor
) {
  var generator = SeededGenerator(seed: seed)
  let leaves = inputs.map { $0.tracked() }
  let output = function(leaves)
  let projection = Tensor.normal(shape: output.shape, using: &generator)
  let gradients = (output * projection).sum().gradients(of: leaves)
  let directions = inputs.map { Tensor.normal(shape: $0.shape, using: &generator) }
  func value(_ step: Float) -> Float {
    (function(zip(inputs, directions).map { $0 + $1 * step }) * projection).sum().scalar
  }
  let step: Float = 1e-2
  // Fourth order, so that curvature does not show.
  let difference =
    (8 * (value(step) - value(-step)) - (value(2 * step) - value(-2 * step))) / (12 * step)
  let analytic = zip(gradients, directions).reduce(Float(0)) { $0 + ($1.0 * $1.1).sum().scalar }
  let scale = zip(gradients, directions).reduce(Float(1)) { total, pair in
    total + (pair.0 * pair.1).values.reduce(0) { $0 + abs($1) } / 4
  }
  #expect(
    abs(analytic - difference) <= tolerance * scale,
    "analytic \(analytic), by differences \(difference)", sourceLocation: sourceLocation)
}
