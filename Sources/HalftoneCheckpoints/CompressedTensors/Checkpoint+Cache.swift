public import HalftoneSchemes
import HalftoneTensor

/// How an attention layer rounds keys and values before it keeps them.
public struct StoredCache: Sendable, Equatable {
  public let scheme: InputScheme
  /// The scales of keys: one for all key heads, or one for each.
  public let keys: [Float]
  /// Those of values.
  public let values: [Float]
}

/// The tensors of an attention layer beside `kv_cache_scheme`:
///
/// | tensor               | type, shape                                      | holds      |
/// | -------------------- | ------------------------------------------------ | ---------- |
/// | `k_scale`, `v_scale` | floats [1], or [heads, 1, 1] (strategy attn_head) | the scales |
///
/// As compressed-tensors 0.20 writes and reads them; keys are rounded after their rotation.
extension Checkpoint {
  static let cacheSuffixes = ["k_scale", "v_scale"]

  public func cacheScheme() throws(CheckpointError) -> InputScheme? {
    try quantizationConfig()?.cache?.cacheScheme("\(path)/config.json: kv_cache_scheme")
  }

  public func storedCache(_ attention: String) throws -> StoredCache? {
    guard let scheme = try cacheScheme() else { return nil }
    return StoredCache(
      scheme: scheme, keys: try cacheScales(attention + ".k_scale"),
      values: try cacheScales(attention + ".v_scale"))
  }

  private func cacheScales(_ name: String) throws -> [Float] {
    guard contains(name) else {
      throw CheckpointError(
        .malformed,
        "\(path): there is no \(name), which kv_cache_scheme asks for; fetch the weights again, or set "
          + "kv_cache_scheme to null to keep keys and values as they are")
    }
    let stored = try description(of: name)
    let heads = stored.shape.first ?? 1
    guard [.float32, .float16, .bfloat16].contains(stored.type),
      [[], [heads], [heads, 1, 1]].contains(stored.shape), 1...4096 ~= heads
    else {
      throw CheckpointError(
        .malformed,
        "\(path): \(name) is \(stored.type.rawValue) \(stored.shape), not the scales of heads, floats [1] "
          + "or [heads, 1, 1]; fetch the weights again")
    }
    let scales = try tensor(name).float().values
    guard scales.allSatisfy({ $0.isNormal && $0 > 0 }) else {
      throw CheckpointError(
        .malformed, "\(path): \(name) is not above 0; quantize the original model again")
    }
    return scales
  }

  /// The attention layers, which hold a layer of keys.
  private var attentionLayers: [String] {
    let suffix = ".k_proj"
    return linearModules.filter { $0.hasSuffix(suffix) }.map { String($0.dropLast(suffix.count)) }
  }

  /// Where `kv_cache_scheme` and the scales contradict each other.
  func cacheProblems() -> [CheckpointProblem] {
    do {
      guard try cacheScheme() != nil else {
        return names.filter { name in Self.cacheSuffixes.contains { name.hasSuffix("." + $0) } }
          .map {
            CheckpointProblem(
              $0, "kv_cache_scheme in quantization_config says nothing of it",
              remedy: "remove it, or restore config.json")
          }
      }
    } catch {
      return [CheckpointProblem("config.json", error, at: path)]
    }
    return attentionLayers.compactMap { layer in
      do {
        _ = try storedCache(layer)
        return nil
      } catch {
        return CheckpointProblem(layer, error, at: path)
      }
    }
  }
}

extension JSONValue {
  /// The `kv_cache_scheme` of fixed scales, one for all heads or one for each.
  static func cacheArguments(_ scheme: InputScheme, perHead: Bool) -> JSONValue {
    [
      "dynamic": false, "group_size": .null,
      "num_bits": .number(JSONNumber(scheme.format.bits)),
      "strategy": perHead ? "attn_head" : "tensor", "symmetric": true,
      "type": scheme.format is IntegerFormat ? "int" : "float",
    ]
  }
}
