import CHalftoneKernels
import Foundation

/// The optimiser of Kingma and Ba (2015), without weight decay.
///
/// Not copyable, because its moments are updated in place.
public struct Adam: ~Copyable {
  public var beta1: Float = 0.9
  public var beta2: Float = 0.999
  public var epsilon: Float = 1e-8
  private var moments: [(m: Tensor, v: Tensor)] = []
  private var step = 0

  public init() {}

  /// Moves each of `parameters`, which are leaves, against its gradient by one step of size `rate`.
  ///
  /// The same parameters in the same order at every call.
  public mutating func update(_ parameters: inout [Tensor], _ gradients: [Tensor], rate: Float) {
    update(&parameters, gradients, rates: [Float](repeating: rate, count: parameters.count))
  }

  /// The same with a step size for each parameter.
  public mutating func update(_ parameters: inout [Tensor], _ gradients: [Tensor], rates: [Float]) {
    precondition(parameters.count == gradients.count && rates.count == parameters.count)
    if moments.isEmpty {
      moments = parameters.map {
        (Tensor(repeating: 0, shape: $0.shape), Tensor(repeating: 0, shape: $0.shape))
      }
    }
    step += 1
    let c1 = 1 - Float(pow(Double(beta1), Double(step)))
    let c2 = 1 - Float(pow(Double(beta2), Double(step)))
    for (i, gradient) in gradients.enumerated() {
      precondition(parameters[i].shape == gradient.shape && moments[i].m.shape == gradient.shape)
      let (x, g) = (parameters[i].floats, gradient.floats)
      let (m, v) = (moments[i].m.mutableFloats, moments[i].v.mutableFloats)
      let rate = rates[i]
      parameters[i] = gradient.mapped { out, at, count in
        out.update(from: x + at, count: count)
        Kernels.set.adam(out, g + at, m + at, v + at, rate, beta1, beta2, c1, c2, epsilon, count)
      }
      .tracked()
    }
  }
}

extension Tensor {
  /// For the optimiser's moments, which nobody else holds.
  fileprivate var mutableFloats: UnsafeMutablePointer<Float> {
    UnsafeMutablePointer(mutating: floats)
  }
}
