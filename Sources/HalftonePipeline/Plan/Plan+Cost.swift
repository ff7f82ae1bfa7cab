import HalftoneMethods
import HalftoneSchemes
import HalftoneTensor

/// Rough figures, each from the sizes alone, so that they can be printed before anything is read.
extension Plan {
  /// The arithmetic a thread is taken to do in a second.
  static let assumedOperationsPerSecond = 20e9

  /// Sequences that are run, held-out ones included; 0 where only the weights are looked at.
  var sampleCount: Int {
    calibration.samples + Calibration.heldOutCount(forSamples: calibration.samples)
  }

  /// The largest block's weights.
  private var blockWeights: Int {
    (0..<model.blockCount).map { block in
      model.modules.filter { $0.block == block }.reduce(0) { $0 + $1.rows * $1.columns }
    }.max() ?? 0
  }

  private var widest: Int { model.modules.map { max($0.rows, $0.columns) }.max() ?? 0 }

  /// Training steps and their sequences, for methods that have these parameters.
  var training: (iterations: Int, batch: Int) {
    var result = (iterations: 0, batch: 0)
    for step in recipe.steps {
      guard let fields = try? RecipeValue.fields(of: step.part) else { continue }
      if case .int(let iterations) = fields["iterations"] { result.iterations += iterations }
      if case .int(let batch) = fields["batch"] { result.batch = max(result.batch, batch) }
    }
    return result
  }

  private var methods: [any QuantizationMethod] {
    recipe.steps.compactMap { $0.part as? any QuantizationMethod }
  }

  /// Whether a method trains all blocks at once.
  private var trainsNetwork: Bool { methods.contains { $0.blocksAtOnce == nil } }

  /// The blocks that are trained at once, where it is not all of them.
  private var window: Int { methods.compactMap(\.blocksAtOnce).max() ?? 1 }

  /// Activations between two blocks.
  private var streamBytes: Int { sampleCount * calibration.length * model.hiddenSize * 4 }

  /// The head as floats, and packed where training multiplies in bfloat16.
  private var headBytes: Int {
    let weights = model.vocabularySize * model.hiddenSize
    return weights * 4 + (recipe.trainingPrecision == .bfloat16 ? weights * 2 : 0)
  }

  /// Logits of two networks with their probabilities and gradients, of the tokens held at a time.
  private var logitBytes: Int {
    let tokens = min(
      training.batch * calibration.length, LogitChunks.tokens(vocabulary: model.vocabularySize))
    return 6 * tokens * model.vocabularySize * 4
  }

  /// What the later blocks and the head keep for the way back, where a method trains through them: the
  /// activations of a batch, and weights as floats; logits; what the original network gives.
  private var tailBytes: Int {
    let reaches = methods.map(\.reach)
    guard reaches.contains(where: { $0 != .blocks }) else { return 0 }
    let tokens = training.batch * calibration.length
    let head = headBytes + logitBytes
    guard reaches.contains(.laterBlocks) else { return head }
    return (model.blockCount - 1) * (activationBytes(tokens: tokens) + blockWeights * 4) + head
      + streamBytes
  }

  /// What a block keeps alive for so many tokens on the way forward.
  private func activationBytes(tokens: Int) -> Int {
    tokens * (4 * widest + 8 * model.hiddenSize) * 4
  }

  /// What is held for the whole network where it is trained at once.
  ///
  /// For each weight a variable and two moments as floats, and the codes of the best state and of the
  /// present one; the model's file, all of which is read in every step; the head as floats, and logits;
  /// what the original network gives, and its inputs while they are joined.
  private var networkBytes: Int {
    guard trainsNetwork else { return 0 }
    let weights = layers.filter { $0.scheme?.weights != nil }.reduce(0) { $0 + $1.count }
    return weights * (3 * 4 + 2) + model.byteCount + headBytes + logitBytes + 3 * streamBytes
  }

  /// Whether each weight is rounded to nearest on its own, and nothing else done.
  var isRounding: Bool {
    let isJoint = layers.contains { $0.mayTake { $0.roundsJointly } }
    return recipe.steps.count == 1 && recipe.method is RoundToNearest && !isJoint
  }

  /// The largest layer as stored, its codes, packed and read back, and, where a range is searched for all of
  /// it, its floats; what is held at a time of a table that is carried over.
  private var layerBytes: Int {
    let largest = layers.map { layer in
      guard let weights = layer.scheme?.weights else { return 0 }
      let isWhole = weights.granularity == .tensor && weights.range != .minMax
      return layer.module.byteCount + layer.count * (isWhole ? 7 : 3)
    }
    return (largest.max() ?? 0) + min(2 << 26, model.vocabularySize * model.hiddenSize * 4)
  }

  /// The most memory the run is expected to hold, if the text is run through the blocks.
  ///
  /// Streams: the inputs in the original and the quantized network, the targets and the outputs, and
  /// the pieces of which the last two are joined.
  /// Block: its weights, rounded weights and their difference; when learning also the parameters,
  /// gradients and two moments. Hessian: three matrices of Doubles.
  /// Activations: what one piece keeps alive.
  ///
  /// Where weights are only rounded, and the run `streams` them: the largest layer.
  public func peakBytes(withCalibration: Bool, streams: Bool = true) -> Int {
    let fixed = 64 << 20
    let activationStreams = 6 * streamBytes
    let learning = training.iterations > 0
    // Whole networks: variables and moments are counted there.
    let block = max(
      blockWeights * 4 * (trainsNetwork ? 8 : learning ? 12 * window : 4),
      // Formats to choose from: each rounded weight and its difference.
      blockWeights * 4 * (2 + 2 * (layers.compactMap { $0.choice?.schemes.count }.max() ?? 0)))
    let hessian = withCalibration && !learning ? 3 * widest * widest * 8 : 0
    let pieceTokens = max(BlockRunner.tokensPerPiece, training.batch * calibration.length)
    let activations = activationBytes(tokens: pieceTokens) * (learning ? 4 * window : 1)
    guard withCalibration else { return fixed + (streams && isRounding ? layerBytes : block) }
    return fixed + activationStreams + block + hessian + activations + networkBytes + tailBytes
  }

  /// The time the run is expected to take: multiplications and additions over an assumed speed.
  ///
  /// Each weight takes two operations a token and pass: three passes for the streams and the errors,
  /// three (forward, and backward for inputs and weights) for each training step, four where blocks are
  /// recomputed on the way back; and some 800 for the search of its range.
  public func seconds(withCalibration: Bool) -> Double {
    let weights = Double(layers.reduce(0) { $0 + $1.count })
    var operations = weights * 800
    if withCalibration {
      operations += weights * 2 * 3 * Double(sampleCount * calibration.length)
      let (iterations, batch) = training
      let passes = trainsNetwork ? 4.0 : 3
      operations += weights * 2 * passes * Double(iterations) * Double(batch * calibration.length)
    }
    return operations / (Self.assumedOperationsPerSecond * Double(Parallelism.threads))
  }
}
