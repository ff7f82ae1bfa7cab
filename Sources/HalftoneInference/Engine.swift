import CHalftoneKernels
import Foundation
public import HalftoneLayers
public import HalftoneTensor

/// How a model is held in memory and run.
public struct EngineOptions: Sendable, Equatable {
  /// How inputs reach layers whose checkpoint does not say how to round them.
  public enum Inputs: String, Sendable, CaseIterable {
    /// Rounded for speed: to eight bits with a scale for each 256 columns where weights are codes, to
    /// bfloat16 where weights are bfloat16 and the processor multiplies those.
    case int8
    /// As they are, for measurements.
    case float
  }

  /// How the output head is held where the checkpoint has it as floats.
  public enum Head: String, Sendable, CaseIterable {
    /// As it is.
    case stored
    /// In eight bits, a scale for each 32 columns: half the bytes of bfloat16.
    case int8
  }

  public var inputs: Inputs
  /// How keys and values of earlier positions are stored.
  public var cache: CacheType
  public var head: Head

  public init(inputs: Inputs = .int8, cache: CacheType = .f16, head: Head = .stored) {
    self.inputs = inputs
    self.cache = cache
    self.head = head
  }
}

/// A model held in memory in packed form, which continues several token sequences at once.
///
/// Passes run one at a time; results depend neither on the number of threads nor on what else is in
/// a pass.
public final class Engine: @unchecked Sendable {
  public let options: EngineOptions
  private let model: any LanguageModel
  private let packed: PackedModel
  private let lock = NSLock()
  /// Guarded by `lock`.
  private let workspace: EngineWorkspace
  private let rotary: RotaryTable
  /// Rows of one pass, which bounds the memory of intermediate values.
  private static let passRows = 512

  /// Reads and packs all weights of `model`.
  ///
  /// - Throws: ``GenerationError`` for a network the engine cannot run; what the model throws.
  public init(_ model: any LanguageModel, options: EngineOptions = EngineOptions()) throws {
    self.model = model
    self.options = options
    packed = try PackedModel(model, options)
    workspace = EngineWorkspace(packed)
    rotary = RotaryTable(model, headWidth: packed.blocks.first?.headWidth ?? 2)
  }

  public var hiddenSize: Int { model.hiddenSize }
  public var vocabularySize: Int { model.vocabularySize }
  /// The longest sequence the model was made for.
  public var contextLength: Int { model.contextLength }
  /// The ids at which a text ends; may be empty.
  public var endOfTextIds: [Int] { model.endOfTextIds }
  /// The bytes of weights that every new token reads.
  public var weightBytes: Int { packed.weightBytes }
  /// The name of the kernels in use: "avx512vnni".
  public static var kernelName: String { String(cString: ProductKernels.set.name) }

  /// An empty sequence with room for `capacity` positions.
  ///
  /// - Throws: ``GenerationError`` if that is none, or more than the model's context, and
  ///   ``SequenceCacheError`` if it does not fit this machine.
  public func sequence(capacity: Int) throws -> EngineSequence {
    guard (1...contextLength).contains(capacity) else {
      throw GenerationError(
        "a sequence of \(capacity) positions; the model has room for 1 to \(contextLength)")
    }
    let block = packed.blocks.first
    return EngineSequence(
      try SequenceCache(
        blocks: packed.blocks.count, keyHeads: block?.keyHeads ?? 1,
        width: block?.headWidth ?? 2, capacity: capacity, type: options.cache))
  }

  /// Runs the new ids of each sequence after what it holds, all sequences together, and returns the
  /// logits after the last new id of each.
  ///
  /// - Throws: ``GenerationError`` if an input has no ids or a sequence occurs twice, and
  ///   ``KeyValueCacheError`` if one has no room; nothing has been run then.
  public func run(_ inputs: [EngineInput]) throws -> [[Float]] {
    var result = [[Float]](repeating: [], count: inputs.count)
    try forEachPass(inputs) { pass in
      let ends = pass.pieces.filter(\.endsInput)
      guard !ends.isEmpty else { return }
      let logits = pass.logits(rows: ends.map { $0.rows.upperBound - 1 })
      for (i, piece) in ends.enumerated() {
        result[piece.input] = Array(
          UnsafeBufferPointer(start: logits + i * vocabularySize, count: vocabularySize))
      }
    }
    return result
  }

  /// The activations after the last block of `count` new sequences of one length, one after another
  /// in `ids`: [ids.count, hidden].
  ///
  /// - Throws: as ``run(_:)``.
  public func hidden(_ ids: [Int], count: Int) throws -> Tensor {
    precondition(count > 0 && ids.count % count == 0, "\(ids.count) ids in \(count) sequences")
    let length = ids.count / count
    let inputs = try (0..<count).map { i in
      EngineInput(try sequence(capacity: length), Array(ids[i * length..<(i + 1) * length]))
    }
    var rows: [Float] = []
    rows.reserveCapacity(ids.count * hiddenSize)
    try forEachPass(inputs) { pass in
      rows.append(
        contentsOf: UnsafeBufferPointer(
          start: workspace.hidden.base, count: pass.rowCount * hiddenSize))
    }
    return Tensor(rows, shape: [ids.count, hiddenSize])
  }

  /// The logits [rows, vocabulary] of such activations [rows, hidden].
  public func logits(_ hidden: Tensor) -> Tensor {
    lock.lock()
    defer { lock.unlock() }
    let pass = EnginePass(model: packed, workspace: workspace, rotary: rotary, pieces: [])
    hidden.withElements { elements in
      guard let from = elements.baseAddress else { return }
      workspace.hidden.reserve(elements.count).update(from: from, count: elements.count)
    }
    let logits = pass.logits(rows: Array(0..<hidden.rows))
    return Tensor(shape: [hidden.rows, vocabularySize]) { out in
      _ = out.update(
        from: UnsafeBufferPointer(start: logits, count: hidden.rows * vocabularySize))
    }
  }

  // MARK: - Passes

  private func forEachPass(_ inputs: [EngineInput], _ body: (EnginePass) throws -> Void) throws {
    lock.lock()
    defer { lock.unlock() }
    try check(inputs)
    for pieces in Self.passes(inputs) {
      let pass = EnginePass(
        model: packed, workspace: workspace, rotary: rotary, pieces: pieces)
      for piece in pieces { rotary.reserve(piece.position + piece.ids.count) }
      try embed(pieces, rows: pass.rowCount)
      pass.run()
      for piece in pieces { piece.sequence.cache.advance(by: piece.ids.count) }
      try body(pass)
    }
  }

  private func check(_ inputs: [EngineInput]) throws {
    for input in inputs {
      guard !input.ids.isEmpty else { throw GenerationError("an input without token ids") }
      if let id = input.ids.first(where: { !(0..<vocabularySize).contains($0) }) {
        throw GenerationError(
          "token id \(id) is outside the model's vocabulary of \(vocabularySize); tokenizer and "
            + "model do not belong together")
      }
      try input.sequence.cache.reserve(input.ids.count)
    }
    guard Set(inputs.map { ObjectIdentifier($0.sequence) }).count == inputs.count else {
      throw GenerationError("a sequence was given twice in one pass")
    }
  }

  private func embed(_ pieces: [PassPiece], rows: Int) throws {
    let embedded = try model.embed(pieces.flatMap { Array($0.ids) })
    let hidden = workspace.hidden.reserve(rows * embedded.columns)
    embedded.withElements { elements in
      guard let from = elements.baseAddress else { return }
      hidden.update(from: from, count: elements.count)
    }
  }

  /// The inputs cut into passes of at most ``passRows`` rows, in order.
  static func passes(_ inputs: [EngineInput]) -> [[PassPiece]] {
    var passes: [[PassPiece]] = []
    var pieces: [PassPiece] = []
    var rows = 0
    for (index, input) in inputs.enumerated() {
      var start = 0
      while start < input.ids.count {
        if rows == passRows {
          passes.append(pieces)
          (pieces, rows) = ([], 0)
        }
        let end = min(input.ids.count, start + passRows - rows)
        pieces.append(
          PassPiece(
            sequence: input.sequence, ids: input.ids[start..<end], firstRow: rows,
            position: input.sequence.count + start, input: index,
            endsInput: end == input.ids.count))
        rows += end - start
        start = end
      }
    }
    return passes + (pieces.isEmpty ? [] : [pieces])
  }
}

/// New token ids of one sequence.
public struct EngineInput {
  public let sequence: EngineSequence
  public let ids: [Int]

  public init(_ sequence: EngineSequence, _ ids: [Int]) {
    self.sequence = sequence
    self.ids = ids
  }
}

/// What an engine remembers of one sequence: keys and values of every position so far.
///
/// Used by one thread at a time.
public final class EngineSequence: @unchecked Sendable {
  let cache: SequenceCache

  init(_ cache: SequenceCache) { self.cache = cache }

  /// The most positions it holds.
  public var capacity: Int { cache.capacity }
  /// The positions so far.
  public var count: Int { cache.count }

  /// Forgets all positions from `count` on.
  public func truncate(to count: Int) { cache.truncate(to: count) }
}
