import CHalftoneKernels

/// How keys and values are kept while a network runs.
public enum CacheType: String, Sendable, CaseIterable {
  /// Sixteen bits an element.
  case f16
  /// Eight bits and a scale for each 32 elements.
  case int8
  /// Four bits and a scale for each 32 elements.
  case int4

  var kernelType: halftone_cache_type {
    switch self {
    case .f16: halftone_cache_f16
    case .int8: halftone_cache_i8
    case .int4: halftone_cache_i4
    }
  }

  /// Floats that hold the scales of `width` elements.
  func scaleCount(width: Int) -> Int { self == .f16 ? 0 : (width + 31) / 32 }
}
