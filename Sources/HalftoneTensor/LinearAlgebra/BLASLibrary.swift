import COpenBLAS

/// The library behind matrix products and factorisations.
public enum BLASLibrary {
  /// One BLAS thread per worker: the workers are ours.
  private static let isSingleThreaded: Bool = {
    openblas_set_num_threads(1)
    return true
  }()

  /// To be called before the library is.
  static func prepare() { precondition(isSingleThreaded) }

  /// Its configuration and the kernels it chose, for reports.
  ///
  /// OpenBLAS honours `OPENBLAS_CORETYPE` from the environment.
  public static var description: String {
    String(cString: openblas_get_config()) + " using " + String(cString: openblas_get_corename())
  }
}
