/// The settings of an AWQ checkpoint in the layout of its GEMM kernels; codes have 4 bits.
public struct AWQConfig: Sendable {
  /// Columns that share a scale; nil for all of a row.
  public let groupSize: Int?
  /// Parts of the names of layers that are not quantized.
  let dense: [String]

  /// Reads `quantization_config`, or the older `quant_config.json`, found at `place`.
  init(_ value: JSONValue, _ place: String) throws(CheckpointError) {
    func malformed(_ key: String, _ need: String) -> CheckpointError {
      CheckpointError(
        .malformed,
        "\(place): \(key) \(value[key]?.serialized(indent: nil) ?? "is missing"); \(need)")
    }
    let bits = value["bits"] == nil ? "w_bit" : "bits"
    guard value[bits]?.int == 4 else {
      throw malformed(bits, "AWQ codes that are read have 4 bits")
    }
    let group = value["group_size"] == nil ? "q_group_size" : "group_size"
    guard let size = value[group]?.int, size == -1 || size > 0 else {
      throw malformed(group, "it must be -1 or above 0")
    }
    groupSize = size == -1 ? nil : size
    dense = (value["modules_to_not_convert"]?.array ?? []).compactMap(\.string)
    for key in ["version", "checkpoint_format", "format"] {
      guard let version = value[key], !version.isNull else { continue }
      guard version.string?.lowercased() == "gemm" else {
        throw malformed(key, "only the layout gemm is read; convert the original model to that")
      }
    }
  }
}
