import CHalftoneKernels

/// A product that is cut into calls of some panels of sixteen outputs.
protocol PanelWork: AnyObject, Sendable {
  static var panelsPerCall: Int { get }
  var outputs: Int { get }
  func call(_ firstPanel: Int, _ count: Int)
}

extension PanelWork {
  func run(threads: Int) {
    let (panels, step) = (outputs / 16, Self.panelsPerCall)
    var body = { (index: Int) in self.call(index * step, min(step, panels - index * step)) }
    withUnsafeMutablePointer(to: &body) { body in
      halftone_parallel(
        (panels + step - 1) / step, Int32(threads),
        { context, index in
          context?.assumingMemoryBound(to: ((Int) -> Void).self).pointee(index)
        }, body)
    }
  }
}
