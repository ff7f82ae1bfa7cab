/// The choices that nothing beats in both of two costs.
public enum ParetoFront {
  /// The indices of the points that no other point equals or beats in both coordinates while
  /// beating it in one, in order of the first coordinate; smaller is better in both.
  ///
  /// Equal points are all on the front or all off it; points that are not finite are off it.
  public static func indices(of points: [(Double, Double)]) -> [Int] {
    let finite = points.indices.filter { points[$0].0.isFinite && points[$0].1.isFinite }
    let order = finite.sorted { a, b in
      points[a] == points[b] ? a < b : points[a] < points[b]
    }
    var front: [Int] = []
    for index in order {
      if let last = front.last, points[index] != points[last],
        points[index].1 >= points[last].1
      {
        continue
      }
      front.append(index)
    }
    return front
  }
}
