public import HalftoneSchemes
public import HalftoneTensor

/// Divides each weight by a learned positive scale before rounding, as FlexRound does, with the
/// logarithms of the scales a matrix of low rank and two vectors.
///
/// Lee, Kim, Yang, Kwon, Yang, Yoo, Lee. *LRQ: Optimizing Post-Training Quantization for Large Language
/// Models by Learning Low-Rank Weight-Scaling Matrices.* NAACL 2025. <https://arxiv.org/abs/2407.11534>.
///
/// | Paper  | Code                         | Shape                      |
/// | ------ | ---------------------------- | -------------------------- |
/// | W      | `weights`                    | [out, in]                  |
/// | s1     | `grid.scales · exp(logStep)` | [1, 1], [out, 1] or [out, groups] |
/// | L2, U2 | `left`, `right`              | [out, rank], [rank, in]    |
/// | r2, c2 | `row`, `column`              | [out], [in]                |
///
/// Ŵ = s1·clamp(round(W / (s1∘exp(L2·U2 + r2 + c2)))). L2, r2 and c2 start at 0, so iteration 0 gives
/// the codes of round-to-nearest, bit for bit; U2 starts uniform in ±1/√in, as in the authors' code.
///
/// Where this differs from the authors' code: L2 and U2 may have a learning rate of their own, and every
/// matrix has the low rank. Theirs takes the full matrices of FlexRound where one side is at most 4,096
/// and the other longer, and for 8,192 by 8,192.
public struct LRQ: ReconstructionMethod, Equatable {
  public static let name = "lrq"
  public static let summary =
    "Divides each weight by a learned scale of low rank before rounding; half of FlexRound's parameters."
  public static let citation =
    "Lee, Kim, Yang, Kwon, Yang, Yoo, Lee. LRQ: Optimizing Post-Training Quantization for Large "
    + "Language Models by Learning Low-Rank Weight-Scaling Matrices. NAACL 2025. https://arxiv.org/abs/2407.11534"

  public var iterations = 800
  public var batch = 4
  public var learningRate: Float = 3e-3
  /// Of L2 and U2; 0 for that of the others, as the authors have it.
  public var factorLearningRate: Float = 0
  public var inputLearningRate: Float = 4e-5
  /// Columns of L2; 0 for the largest that learns at most half of FlexRound's parameters.
  public var rank = 0
  public var learnGrid = true
  public var unit = ReconstructionUnit.block
  public var lastBlock = LastBlockObjective.output

  public init() {}

  public func validate(_ scheme: LayerScheme, rows: Int, columns: Int) throws {
    try validateTraining()
    guard factorLearningRate >= 0, factorLearningRate.isFinite else {
      throw SchemeError("lrq: factor-learning-rate is \(factorLearningRate); use 0 or more")
    }
    guard (0...min(rows, columns)).contains(rank) else {
      throw SchemeError(
        "lrq: rank is \(rank) for a matrix [\(rows), \(columns)]; use 1 to \(min(rows, columns)), or 0 "
          + "for half of FlexRound's parameters")
    }
  }

  /// The rank for weights [rows, columns] with `steps` grid steps.
  ///
  /// Automatic: the largest r with steps + r·(rows + columns) + rows + columns ≤ ½·(steps +
  /// rows·columns + rows), at least 1 and at most the shorter side.
  public func rank(rows: Int, columns: Int, steps: Int) -> Int {
    guard rank == 0 else { return rank }
    let half = (steps + rows * columns + rows) / 2
    let most = (half - steps - rows - columns) / (rows + columns)
    return min(max(most, 1), rows, columns)
  }

  public func variables(
    for weights: Tensor, _ scheme: WeightScheme
  ) throws -> any RoundingVariables {
    let grid = try scheme.grids(for: weights)
    let rank = rank(rows: weights.rows, columns: weights.columns, steps: grid.scales.count)
    return LRQVariables(
      weights, grid, scheme.format, rank: rank,
      learnGrid: learnGrid && scheme.scalesAreFree,
      factorRate: factorLearningRate == 0 ? 1 : factorLearningRate / learningRate)
  }
}

/// The logarithms of LRQ's scales for one weight matrix.
public struct LRQVariables: RoundingVariables {
  public let original: Tensor
  public let grid: GridTable
  public let format: any NumberFormat
  /// ln(s1 / its initial value), shaped as the grid's scales.
  public private(set) var logStep: Tensor
  /// L2: [out, rank].
  public private(set) var left: Tensor
  /// U2: [rank, in].
  public private(set) var right: Tensor
  /// r2: [out].
  public private(set) var row: Tensor
  /// c2: [in].
  public private(set) var column: Tensor
  private let factorRate: Float

  init(
    _ weights: Tensor, _ grid: GridTable, _ format: any NumberFormat, rank: Int, learnGrid: Bool,
    factorRate: Float
  ) {
    original = weights
    self.grid = grid
    self.format = format
    self.factorRate = factorRate
    let (rows, columns) = (weights.rows, weights.columns)
    func zeros(_ shape: [Int]) -> Tensor { Tensor(repeating: 0, shape: shape) }
    logStep = learnGrid ? zeros(grid.scales.shape).tracked() : zeros(grid.scales.shape)
    left = zeros([rows, rank]).tracked()
    right = Self.start(rank: rank, columns: columns).tracked()
    row = zeros([rows]).tracked()
    column = zeros([columns]).tracked()
  }

  /// U2 uniform in ±1/√in, the same for every matrix of a shape: a basis to begin with, which the
  /// run's seed need not vary.
  private static func start(rank: Int, columns: Int) -> Tensor {
    var generator = SeededGenerator(seed: UInt64(rank) << 32 | UInt64(columns))
    let bound = 1 / Float(columns).squareRoot()
    return Tensor(
      (0..<rank * columns).map { _ in (2 * generator.uniform() - 1) * bound },
      shape: [rank, columns])
  }

  public var leaves: [Tensor] {
    get { [logStep, left, right, row, column].filter(\.needsGradient) }
    set {
      var rest = newValue[...]
      if logStep.needsGradient { logStep = rest.removeFirst() }
      left = rest.removeFirst()
      right = rest.removeFirst()
      row = rest.removeFirst()
      column = rest.removeFirst()
    }
  }

  public var relativeRates: [Float] {
    (logStep.needsGradient ? [1] : []) + [factorRate, factorRate, 1, 1]
  }

  /// FlexRound's rounding with ln S2 = L2·U2 + c2 and ln s3 = r2.
  public func weights() -> Tensor {
    original.flexRounded(
      grid, logStep: logStep, v2: left.matmul(right).addingRow(column), v3: row)
  }

  public func penalty(progress: Float) -> Tensor? { nil }

  public func quantized() throws -> QuantizedTensor {
    try grid.scaled(byExponentialOf: logStep).quantize(weights().detached, format: format)
  }
}
