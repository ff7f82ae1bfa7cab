import HalftoneLayers
import HalftoneMethods
import HalftoneTensor

/// Runs streams through blocks, a fixed number of samples at a time.
struct BlockRunner {
  /// Pieces of so many tokens, whatever the memory and the threads: the order of sums depends on it.
  static let tokensPerPiece = 2048

  let model: any LanguageModel

  static func samplesPerPiece(length: Int) -> Int { max(1, tokensPerPiece / length) }

  /// The block's outputs for all samples of `stream`.
  func run(_ block: any TransformerBlock, _ stream: ActivationStream) -> ActivationStream {
    var pieces: [Tensor] = []
    forEachPiece(0..<stream.samples, length: stream.length) { samples in
      let context = model.context(batch: samples.count, length: stream.length, start: 0)
      pieces.append(block(stream.samples(samples), context))
    }
    return ActivationStream(activations: .concatenating(pieces), length: stream.length)
  }

  /// Shows `body` the inputs of every linear layer as the samples of `range` run.
  func observe(
    _ block: any TransformerBlock, _ stream: ActivationStream, _ range: Range<Int>,
    _ body: @escaping (_ layer: String, _ input: Tensor) -> Void
  ) {
    forEachPiece(range, length: stream.length) { samples in
      var context = model.context(batch: samples.count, length: stream.length, start: 0)
      context.observe = body
      _ = block(stream.samples(samples), context)
    }
  }

  /// Shows `body` the keys and values of every attention layer as all samples run.
  func observeCache(
    _ block: any TransformerBlock, _ stream: ActivationStream,
    _ body: @escaping (_ keys: Tensor, _ values: Tensor) -> Void
  ) {
    forEachPiece(0..<stream.samples, length: stream.length) { samples in
      var context = model.context(batch: samples.count, length: stream.length, start: 0)
      context.observeCache = body
      _ = block(stream.samples(samples), context)
    }
  }

  /// The same for several blocks and streams side by side.
  func observe(
    _ sources: [(block: any TransformerBlock, stream: ActivationStream)], _ range: Range<Int>,
    _ body: (_ layer: String, _ inputs: [Tensor]) -> Void
  ) {
    guard let first = sources.first else { return }
    let names = first.block.linears.map(\.name)
    forEachPiece(range, length: first.stream.length) { samples in
      var inputs: [String: [Tensor]] = [:]
      for source in sources {
        observe(source.block, source.stream, samples) { inputs[$0, default: []].append($1) }
      }
      for name in names { body(name, inputs[name] ?? []) }
    }
  }

  private func forEachPiece(_ range: Range<Int>, length: Int, _ body: (Range<Int>) -> Void) {
    let step = Self.samplesPerPiece(length: length)
    for start in stride(from: range.lowerBound, to: range.upperBound, by: step) {
      body(start..<min(range.upperBound, start + step))
    }
  }
}
