import HalftoneMethods
import HalftoneTensor
import Testing

/// CBQ's coarse-to-fine detection and what is done about outliers.
@Suite struct OutlierTests {
  /// 1...16 with quartiles 4.75 and 12.25: everything above 23.5 is a candidate.
  private let bulk = (1...16).map(Float.init)

  @Test func aTailWithoutAGapHasNoOutliers() throws {
    let split = try #require(OutlierSplit(bulk, coarse: 1.5, fine: 1))
    #expect(split.outliers == 0 && split.largestReserved == 16)
  }

  @Test func theWidestGapCounts() throws {
    let split = try #require(
      OutlierSplit(bulk + [60, 30, 62, 31, 29], coarse: 1.5, fine: 1))
    #expect(split.outliers == 2 && split.largestReserved == 31)
  }

  @Test func oneOutlierAloneIsFound() throws {
    let split = try #require(OutlierSplit(bulk + [500], coarse: 1.5, fine: 1))
    #expect(split.outliers == 1 && split.largestReserved == 16)
  }

  @Test func emptyAndConstantSets() throws {
    #expect(OutlierSplit([], coarse: 1.5, fine: 1) == nil)
    let constant = try #require(OutlierSplit([2, 2, 2], coarse: 1.5, fine: 1))
    #expect(constant.outliers == 0 && constant.largestReserved == 2)
    let zeros = try #require(OutlierSplit([0, 0, 0, 0], coarse: 1.5, fine: 1))
    #expect(zeros.outliers == 0)
  }

  @Test func weightsAreClippedOnBothSides() {
    var values = bulk.map { $0 * 0.1 }
    values += [-70, 50]
    let clipped = TruncateOutliers().truncated(Tensor(values, shape: [3, 6])).values
    #expect(clipped.prefix(16) == values.prefix(16))
    #expect(clipped.suffix(2) == [-1.6, 1.6])
  }
}
