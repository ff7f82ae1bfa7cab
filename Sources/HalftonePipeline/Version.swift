public import HalftoneReport
import HalftoneTensor

/// The version of this program, as reports and resumable runs record it.
public enum Version {
  public static let current = "0.1.0"

  /// What made the numbers of a run on this machine.
  public static var record: RunRecord.Versions {
    RunRecord.Versions(
      halftone: current, instructionSet: Kernels.instructionSet, blas: "OpenBLAS")
  }
}
