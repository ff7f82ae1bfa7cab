import HalftoneSchemes
import HalftoneTensor

extension WeightStore {
  /// Everything that is wrong with the tensors, and with what the configuration says of them.
  ///
  /// All elements are read: those of numbers must be finite, scales above 0 and normal, codes those of their
  /// format, padding clear. One tensor is in memory at a time. `progress` hears of each, as a fraction.
  public func problems(progress: (Double) -> Void = { _ in }) -> [CheckpointProblem] {
    var found: [CheckpointProblem] = []
    let modules = linearModules
    let count = Double(max(1, names.count + modules.count))
    for (index, name) in names.enumerated() {
      found += numberProblems(name)
      evict(name)
      progress(Double(index) / count)
    }
    // What is wrong with one of its tensors need not be said of the layer again.
    let known = Set(found.map { Self.module($0.name) })
    let parts = Dictionary(grouping: names, by: Self.module)
    for (index, module) in modules.enumerated() {
      found += known.contains(module) ? [] : layerProblems(module)
      parts[module]?.forEach(evict)
      progress(Double(names.count + index) / count)
    }
    return found + tiedProblems() + disagreements()
  }

  /// The modules that hold a matrix, dense or in codes, in the order of their names.
  var linearModules: [String] {
    let suffixes = [".weight", ".weight_packed", ".weight_scale", ".qweight"]
    var modules: Set<String> = []
    for name in names {
      guard let suffix = suffixes.first(where: name.hasSuffix) else { continue }
      guard (try? shape(of: name))?.count == 2 || suffix != ".weight" else { continue }
      modules.insert(String(name.dropLast(suffix.count)))
    }
    return modules.sorted()
  }

  /// What the tensor `name` is a part of.
  private static func module(_ name: String) -> String {
    name.lastIndex(of: ".").map { String(name[..<$0]) } ?? ""
  }

  // MARK: - Numbers

  private func numberProblems(_ name: String) -> [CheckpointProblem] {
    do {
      let description = try description(of: name)
      if description.blocks == nil { try checkFinite(name) }
      guard description.blocks == nil, let isNumber = description.type.finiteBytes else {
        return []
      }
      let place: Int? = try withBytes(of: name) { bytes in
        bytes.firstIndex { !isNumber[Int($0)] }
      }
      return place.map { [.notFinite(name, description.type, at: $0)] } ?? []
    } catch {
      return [CheckpointProblem(name, error, at: path)]
    }
  }

  // MARK: - Layers

  private func layerProblems(_ module: String) -> [CheckpointProblem] {
    do {
      var found: [CheckpointProblem] = []
      switch try linearWeight(module) {
      case .dense:
        guard let reordered = try (self as? Checkpoint)?.reorderedWeight(module) else {
          // Embeddings have no inputs to round, though the class "Linear" fits their names.
          return isEmbedding(module) ? [] : try inputProblems(module)
        }
        found += scaleProblems(module, reordered.weight)
      case .quantized(let weight):
        found += scaleProblems(module, weight) + codeProblems(module, weight)
        if let outliers = weight.outliers, !outliers.values.allSatisfy(\.isFinite) {
          found.append(
            CheckpointProblem(
              module, "outliers are NaN or infinite", remedy: "quantize the original model again"))
        }
      case .blocks(let matrix): found += blockProblems(module, matrix)
      }
      found += try inputProblems(module)
      _ = try lowRank(module)
      return found
    } catch {
      return [CheckpointProblem(module, error, at: path)]
    }
  }

  /// What is wrong with the numbers that fix the grid of a layer's inputs.
  private func inputProblems(_ module: String) throws -> [CheckpointProblem] {
    guard case .fixed(let scheme, let scale, let zero) = try storedInputScheme(module) else {
      return []
    }
    let (low, high) = scheme.format.extent
    guard !scale.isNormal || zero < low || zero > high || zero != zero.rounded() else { return [] }
    return [
      CheckpointProblem(
        module, "the inputs' scale \(scale) or zero point \(zero) is out of range",
        remedy: "quantize the original model again with other calibration text")
    ]
  }

  /// Files of MLX have scales of both signs.
  private var isMLX: Bool {
    if case .mlx? = try? (self as? Checkpoint)?.quantization() { true } else { false }
  }

  private func scaleProblems(_ module: String, _ weight: QuantizedTensor) -> [CheckpointProblem] {
    let isMLX = isMLX
    // As ggml has them, whose codes reach farther below 0 than above, in groups of 32 and 16.
    let width = weight.shape[1] / weight.levels[0].columns
    let isSigned = isMLX || weight.format is IntegerFormat && [16, 32].contains(width)
    // MLX has scales of 0 for groups of zeros; the least of E8M0 is 2⁻¹²⁷.
    let kinds: [(String, (Float) -> Bool)] = [
      ("NaN", \.isNaN), ("infinite", \.isInfinite), ("0", { !isMLX && $0 == 0 }),
      ("negative", { !isSigned && $0 < 0 }),
      (
        "too small for a normal float", { $0.isSubnormal && $0 != 0x1p-127 && (isSigned || $0 > 0) }
      ),
    ]
    return weight.levels.flatMap { table in
      table.withElements { scales in
        kinds.compactMap { word, isBad in
          guard let first = scales.firstIndex(where: isBad) else { return nil }
          let count = scales.count { isBad($0) }
          return CheckpointProblem(
            module,
            "\(count) of \(scales.count) scales \(count == 1 ? "is" : "are") \(word), first at "
              + "[\(first / table.columns), \(first % table.columns)]",
            remedy: "quantize the original model again")
        }
      }
    }
  }

  private func codeProblems(_ module: String, _ weight: QuantizedTensor) -> [CheckpointProblem] {
    let isCode: [Bool] =
      switch weight.format.values {
      case .uniform(let low, let high):
        (0..<256).map { (low...high).contains(Int(Int8(truncatingIfNeeded: $0))) }
      case .table(let values): (0..<256).map { $0 < values.count && values[$0].isFinite }
      }
    guard isCode.contains(false),
      let first = weight.codes.withBytes({ $0.firstIndex { !isCode[Int($0)] } })
    else { return [] }
    return [
      CheckpointProblem(
        module,
        "holds codes that \(weight.format.name) does not have, first at "
          + "[\(first / weight.shape[1]), \(first % weight.shape[1])]",
        remedy: "quantize the original model again")
    ]
  }

  /// Some rows at a time, as floats.
  private func blockProblems(_ module: String, _ matrix: BlockMatrix) -> [CheckpointProblem] {
    let (rows, columns) = (matrix.shape[0], matrix.shape[1])
    let grain = max(1, (1 << 22) / columns)
    for start in stride(from: 0, to: rows, by: grain) {
      let values = matrix.rows(start..<min(rows, start + grain))
      guard let first = values.withElements({ $0.firstIndex { !$0.isFinite } }) else { continue }
      return [
        CheckpointProblem(
          module,
          "a scale of its \(matrix.type.name) blocks is NaN or infinite: the first weight that is no "
            + "number is at [\(start + first / columns), \(first % columns)]",
          remedy: "convert the original model again")
      ]
    }
    return []
  }

  // MARK: - Tied weights

  /// A head of its own beside a configuration that says it is the embedding.
  private func tiedProblems() -> [CheckpointProblem] {
    let (head, table) = ("lm_head.weight", "model.embed_tokens.weight")
    guard config["tie_word_embeddings"]?.bool == true, contains(head), contains(table),
      !((try? haveSameBytes(head, table)) ?? false)
    else { return [] }
    return [
      CheckpointProblem(
        head,
        "differs from \(table), but config.json says that both are one (tie_word_embeddings): some tools "
          + "will use the one, some the other",
        remedy: "set tie_word_embeddings to false, or remove \(head)")
    ]
  }

  private func haveSameBytes(_ a: String, _ b: String) throws -> Bool {
    defer {
      evict(a)
      evict(b)
    }
    guard try description(of: a).type == description(of: b).type,
      try shape(of: a) == shape(of: b)
    else { return false }
    return try withBytes(of: a) { first in
      try withBytes(of: b) { second in
        let piece = 1 << 24
        return first.count == second.count
          && stride(from: 0, to: first.count, by: piece).allSatisfy { start in
            let range = start..<min(first.count, start + piece)
            return first[range].elementsEqual(second[range])
          }
      }
    }
  }
}

extension CheckpointProblem {
  fileprivate static func notFinite(
    _ name: String, _ type: StoredType, at element: Int
  ) -> CheckpointProblem {
    CheckpointProblem(
      name, "element \(element) is a \(type.rawValue) that is NaN or infinite",
      remedy: "quantize the original model again")
  }
}

extension StoredType {
  /// Which bytes stand for finite numbers, in the types of 8 bits that have others.
  fileprivate var finiteBytes: [Bool]? {
    switch self {
    case .float8e4m3: (0..<256).map { $0 & 0x7F != 0x7F }
    case .float8e5m2: (0..<256).map { $0 & 0x7C != 0x7C }
    case .float8e8m0: (0..<256).map { $0 != 0xFF }
    case .float8e4m3fnuz, .float8e5m2fnuz: (0..<256).map { $0 != 0x80 }
    default: nil
    }
  }
}
