import Foundation
import HalftoneCheckpoints
import HalftoneSchemes
import HalftoneTensor

/// Finds the form that every quantized layer takes in another tool's files, and what is lost on the way.
struct ConversionPlan {
  private let source: any CodedStore
  private let target: FormatConversion.Target
  /// That of all floats, or of the scales of MLX.
  private let type: ElementType
  /// That of layers that are written as numbers in the other formats.
  private let dense: ElementType
  private var said = Notices()
  private var loss = RoundingLoss()
  private var general: [String] = []

  init(
    _ source: any CodedStore, _ target: FormatConversion.Target, _ type: ElementType,
    dense: ElementType
  ) {
    self.source = source
    self.target = target
    self.type = type
    self.dense = dense
  }

  var notices: [String] { said.sentences + general }

  /// - Throws: ``PipelineError`` naming the first of `modules` that the target cannot hold.
  mutating func layers(_ modules: [String]) throws -> ConvertedLayers {
    do {
      return try converted(modules)
    } catch let refusal as Refusal {
      throw PipelineError(
        .badInput,
        "\(refusal.module): \(refusal.reason); --format safetensors writes its numbers instead of codes",
        at: source.path)
    }
  }

  private mutating func converted(_ modules: [String]) throws -> ConvertedLayers {
    for module in modules where target != .compressedTensors {
      guard let inputs = try source.storedInputScheme(module)?.scheme else { continue }
      said.say(module, "inputs are \(inputs), which no \(target.name) file says; this is left out")
    }
    if source is GGUFCheckpoint {
      general.append(
        "a GGUF file has no tokenizer.json: put that of the original model beside config.json")
    }
    if target != .compressedTensors, let cache = try source.cacheScheme() {
      general.append(
        "keys and values are cached as \(cache), which no \(target.name) file says; this is left out"
      )
    }
    let result: ConvertedLayers
    switch target {
    case .safetensors:
      sayRounding(modules)
      return .none
    case .compressedTensors:
      result = .compressedTensors(
        alike(try held(linears(modules)) { try $0.compressed($1) }))
    case .gptq, .gptqV2:
      var layers = try held(linears(modules)) { try $0.gptq($1) }
      let asymmetric = layers.filter { !$0.settings.symmetric }
      // Readers that join layers, as q, k and v, want one word for all.
      if !asymmetric.isEmpty { layers = layers.map { $0.asymmetric() } }
      result = .gptq(layers)
      for layer in asymmetric where target == .gptq {
        said.say(
          layer.module,
          "GPTQModel 7.7 reads zero points other than the middle from version 2 only; --format gptq-v2 "
            + "writes that")
      }
    case .awq:
      let linears = linears(modules)
      let group = try commonGroup(linears)
      result = .awq(try held(linears) { try $0.awq($1, group) }, group: group)
    case .mlx: result = .mlx(try held(modules) { try $0.mlx($1) })
    }
    sayLoss()
    return result
  }

  private mutating func sayRounding(_ modules: [String]) {
    guard type != .float32 else { return }
    let what = modules.isEmpty ? "wider numbers" : "the numbers that codes stand for"
    general.append("\(what) are rounded to \(type.rawValue); --dtype f32 keeps them")
  }

  private mutating func sayLoss() {
    guard loss.relative > 0 else { return }
    let stored = target == .mlx ? type : .float16
    let what = target == .mlx ? "scales and offsets" : "scales"
    general.append(
      "\(what) are rounded to \(stored.rawValue), which changes them by up to "
        + String(format: "%.2g %%", loss.relative * 100)
        + (target == .mlx ? "; --dtype f32 keeps them" : ""))
  }

  /// Without embeddings, which only MLX quantizes.
  private mutating func linears(_ modules: [String]) -> [String] {
    modules.filter { module in
      guard isEmbedding(module) else { return true }
      sayDense(module, "\(target.name) files hold no quantized embeddings")
      return false
    }
  }

  private mutating func sayDense(_ module: String, _ reason: String) {
    let rounding = dense == .float32 ? "" : ", and its numbers are rounded to \(dense.rawValue)"
    said.say(module, "\(reason), so it is dequantized\(rounding)")
  }

  /// What `convert` makes of each of `modules`.
  ///
  /// Embeddings and the head, which many tools keep in another type than the blocks, are dequantized where
  /// the target cannot hold them.
  private mutating func held<Layer>(
    _ modules: [String], _ convert: (inout ConversionPlan, String) throws -> Layer
  ) throws -> [Layer] {
    var result: [Layer] = []
    for module in modules {
      do {
        result.append(try convert(&self, module))
      } catch let refusal as Refusal where isEmbedding(module) || module == "lm_head" {
        sayDense(module, refusal.reason)
        try sayInputs(of: module)
      }
    }
    return result
  }

  /// What the inputs of a layer that becomes dense lose; of other targets it is said of all layers.
  private mutating func sayInputs(of module: String) throws {
    guard target == .compressedTensors,
      let inputs = try source.storedInputScheme(module)?.scheme
    else { return }
    said.say(
      module,
      "inputs are \(inputs), which \(target.name) files say of quantized layers only; this is left "
        + "out")
  }

  // MARK: - The codes of a layer

  /// Why the target cannot hold a layer.
  private struct Refusal: Error {
    let module: String
    let reason: String
  }

  private func refused(_ module: String, _ reason: String) -> Refusal {
    Refusal(module: module, reason: reason)
  }

  /// A layer as it is read.
  private struct Layer {
    let weight: QuantizedTensor
    /// As far as the numbers say.
    let scheme: WeightScheme
    /// Where the columns of the weight are in the file; nil where they stand as they are.
    let order: ColumnGroups?
  }

  private func layer(_ module: String) throws -> Layer {
    guard let codes = try naming(module, { try source.storedCodes(module) }),
      let stored = try source.storedScheme(module)?.weights
    else { throw refused(module, "has no codes") }
    let weight = codes.weight
    guard codes.order == nil || [.gptq, .gptqV2].contains(target) else {
      throw refused(
        module, "its groups are in activation order, which \(target.name) files have no place for")
    }
    guard weight.outliers == nil, try source.lowRank(module) == nil else {
      throw refused(
        module, "\(target.name) files have no place for its outliers or low-rank factors")
    }
    var scheme = stored
    scheme.symmetric = weight.zeroPoints == nil
    if weight.levels[0].columns == 1, scheme.granularity != .tensor {
      scheme.granularity = .channel
    }
    return Layer(weight: weight, scheme: scheme, order: codes.order)
  }

  /// `body` of the layer `module`, whose reasons against it name the layer.
  private func naming<R>(_ module: String, _ body: () throws -> R) throws -> R {
    do {
      return try body()
    } catch let error as SchemeError {
      throw refused(module, error.description)
    }
  }

  private func compressed(_ module: String) throws -> CompressedTensorsWriter.Module {
    let layer = try layer(module)
    let (weight, scheme) = (layer.weight, layer.scheme)
    let result = CompressedTensorsWriter.Module(
      name: module, weights: scheme, inputs: try source.storedInputScheme(module)?.scheme)
    guard result.isShared else {
      throw refused(module, "compressed-tensors files have no place for \(scheme.grid)")
    }
    let (low, high) = scheme.format.extent
    for zero in weight.zeroPoints?.values ?? []
    where !(zero >= low && zero <= high && zero == zero.rounded()) {
      throw refused(
        module, "the zero point \(zero - low) is no whole number of 0 to \(Int(high - low))")
    }
    return result
  }

  /// Integers of all layers with zero points where one has them, as readers that join layers want it.
  private func alike(
    _ modules: [CompressedTensorsWriter.Module]
  ) -> [CompressedTensorsWriter.Module] {
    let isAlike = modules.allSatisfy { $0.weights.symmetric }
    return modules.map { module in
      guard !isAlike, module.weights.integers != nil else { return module }
      var weights = module.weights
      weights.symmetric = false
      return CompressedTensorsWriter.Module(
        name: module.name, weights: weights, inputs: module.inputs)
    }
  }

  /// What `make` makes of the layer `module`, once it is known to hold its codes.
  private mutating func layout<Layout: LayerLayout>(
    _ module: String, _ make: (Layer) throws -> Layout
  ) throws -> Layout {
    let layer = try layer(module)
    var loss = loss
    let result = try naming(module) {
      let result = try make(layer)
      try result.check(layer.weight, &loss)
      return result
    }
    self.loss = loss
    return result
  }

  private mutating func gptq(_ module: String) throws -> GPTQLayout {
    let version: GPTQConfig.Version = target == .gptq ? .one : .two
    return try layout(module) {
      try GPTQLayout(
        module: module, shape: $0.weight.shape, scheme: $0.scheme, version: version,
        order: $0.order)
    }
  }

  private mutating func awq(_ module: String, _ group: Int?) throws -> AWQLayout {
    try layout(module) {
      try AWQLayout(module: module, shape: $0.weight.shape, scheme: $0.scheme, group: group)
    }
  }

  private mutating func mlx(_ module: String) throws -> MLXLayout {
    let type = type
    return try layout(module) {
      try MLXLayout(module: module, shape: $0.weight.shape, scheme: $0.scheme, type: type)
    }
  }

  /// Columns that share a scale in every one of `modules`; nil where all rows are whole.
  private func commonGroup(_ modules: [String]) throws -> Int? {
    var (smallest, hasGroups): (Int?, Bool) = (nil, false)
    for module in modules {
      guard let scheme = try source.storedScheme(module)?.weights, scheme.integers?.bits == 4,
        let shape = try source.quantizedShape(module)
      else { continue }
      let width = scheme.columnsPerScale(shape[1])
      if width != shape[1] { hasGroups = true }
      smallest = min(smallest ?? width, width)
    }
    return hasGroups ? smallest : nil
  }
}
