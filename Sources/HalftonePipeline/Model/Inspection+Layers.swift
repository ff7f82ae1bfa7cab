import HalftoneCheckpoints
import HalftoneModels
import HalftoneSchemes

extension Inspection {
  /// The layers that are stored in codes, from the headers alone.
  static func layers(_ store: any WeightStore) throws -> [Layer] {
    guard let checkpoint = store as? Checkpoint else { return try blockLayers(store) }
    let parts = Dictionary(grouping: store.names, by: module)
    return try checkpoint.quantizedModules().compactMap { module in
      guard let scheme = try checkpoint.storedScheme(module), let weights = scheme.weights,
        let shape = try checkpoint.quantizedShape(module)
      else { return nil }
      let prefix = module + "."
      let bytes = try (parts[module] ?? []).reduce(0) {
        try $0 + store.description(of: $1).byteCount
      }
      func length(_ suffix: String) throws -> Int? {
        store.contains(prefix + suffix) ? try store.shape(of: prefix + suffix).first : nil
      }
      var layer = Layer(
        name: module, shape: shape, scheme: "", format: weights.format.name,
        granularity: "\(weights.granularity)", symmetric: weights.symmetric,
        scaleType: try scaleType(prefix, store),
        inputs: scheme.inputs.map { "\($0)" }, outliers: try length("outlier_positions"),
        lowRank: try length("low_rank_right"), bytes: bytes,
        bitsPerWeight: bits(bytes, of: shape))
      layer.scheme = words(weights, layer)
      if try checkpoint.hasReorderedGroups(module) {
        layer.scheme += ", groups in activation order"
      }
      return layer
    }
  }

  /// What the tensor `name` is a part of.
  static func module(_ name: String) -> String {
    name.lastIndex(of: ".").map { String(name[..<$0]) } ?? ""
  }

  /// As stored, whatever the method calls them.
  private static func scaleType(_ prefix: String, _ store: any WeightStore) throws -> String? {
    try ["weight_scale", "scales"].map { prefix + $0 }.first(where: store.contains)
      .map { try store.storedType(of: $0).rawValue }
  }

  /// Without the range rule, which no checkpoint stores.
  private static func words(_ weights: WeightScheme, _ layer: Layer) -> String {
    let parts = [
      weights.grid, layer.inputs.map { "inputs \($0)" }, layer.lowRank.map { "low rank \($0)" },
      layer.outliers.map { "\($0) outliers" },
    ]
    return parts.compactMap { $0 }.joined(separator: ", ")
  }

  /// The matrices of a GGUF file that are in blocks.
  private static func blockLayers(_ store: any WeightStore) throws -> [Layer] {
    try store.names.compactMap { name in
      let description = try store.description(of: name)
      guard let blocks = description.blocks, description.shape.count == 2,
        name.hasSuffix(".weight")
      else { return nil }
      return Layer(
        name: String(name.dropLast(".weight".count)), shape: description.shape,
        scheme: "\(blocks.name) blocks of \(blocks.blockLength)", format: blocks.name,
        granularity: "blocks of \(blocks.blockLength)", bytes: description.byteCount,
        bitsPerWeight: bits(description.byteCount, of: description.shape))
    }
  }

  private static func bits(_ bytes: Int, of shape: [Int]) -> Double {
    Double(bytes * 8) / Double(max(1, shape.reduce(1, *)))
  }

  // MARK: - Verification

  /// What is wrong with the tensors of `store`, and with the network that they are to be.
  static func problems(
    _ path: String, _ store: any WeightStore, progress: (Double) -> Void
  ) -> [CheckpointProblem] {
    let found = store.problems(progress: progress)
    // Tensors can be whole without a network that this version runs.
    guard let type = store.config["model_type"]?.string, ModelCatalog.modelTypes.contains(type)
    else { return found }
    do {
      _ = try OpenedModel(path: path)
      return found
    } catch {
      let problem = CheckpointProblem("config.json", error, at: path)
      return found.contains { $0.problem == problem.problem } ? found : found + [problem]
    }
  }

  /// What was found, or that nothing was; no line where nothing was looked for.
  var problemLines: [String] {
    guard let problems else { return [] }
    guard !problems.isEmpty else {
      return ["verified    \(tensors.count) tensors: no problem found"]
    }
    return [""] + problems.map { "\($0.name): \($0.problem); \($0.remedy)" }
  }
}
