/// What the operands of the products of linear layers and attention are rounded to; sums are floats
/// in any case.
public enum ProductPrecision: String, Sendable, CaseIterable {
  /// Not rounded.
  case float32
  /// Eight bits of significand. Twice as fast and more on processors with instructions for it,
  /// slower on others; the results are those of every processor, but for subnormal numbers.
  case bfloat16

  @TaskLocal static var current = ProductPrecision.float32

  /// Runs `body` with ``Tensor/linear(_:)``, ``Tensor/attention(queries:keys:values:_:)`` and their
  /// gradients in this precision.
  public func during<Result>(_ body: () throws -> Result) rethrows -> Result {
    try Self.$current.withValue(self, operation: body)
  }

  /// out = a·b for a [m, k] and b [k, n], on several threads.
  func product(
    _ m: Int, _ n: Int, _ k: Int, _ a: MatrixProduct.Operand, _ b: MatrixProduct.Operand,
    _ out: UnsafeMutablePointer<Float>, stride: Int
  ) {
    switch self {
    case .float32: MatrixProduct.parallel(m, n, k, a, b, out, stride: stride)
    case .bfloat16: BFloat16Product.parallel(m, n, k, a, b, out, stride: stride)
    }
  }
}
