import HalftoneSchemes

extension Plan {
  /// The plan as a table for people.
  public func text(withCalibration: Bool) -> String {
    let rows = layers.map { layer in
      [
        layer.module.name, "\(layer.module.rows) x \(layer.module.columns)",
        Self.describe(layer) ?? "as it is",
        ByteSize.text(layer.module.byteCount), ByteSize.text(layer.bytesAfter),
        ByteSize.fixed(Double(layer.bytesAfter * 8) / Double(max(1, layer.count)), 2),
      ]
    }
    var lines = TextTable.lines(
      ["layer", "shape", "scheme", "before", "after", "bits/weight"], rows,
      rightAligned: [3, 4, 5])
    lines.append("")
    if let cache = recipe.cache { lines.append("cache        keys and values \(cache)") }
    lines.append("method       \(recipe.steps.map(\.name).joined(separator: ", "))")
    if withCalibration {
      lines.append("calibration  \(calibration.samples) samples of \(calibration.length) tokens")
    } else {
      lines.append("calibration  none: errors are measured on the weights alone")
    }
    let ratio = Double(bytesBefore) / Double(max(1, bytesAfter))
    lines.append(
      "size         \(ByteSize.text(bytesBefore)) to \(ByteSize.text(bytesAfter)), "
        + "\(ByteSize.fixed(ratio, 2)) times smaller")
    lines.append("bits/weight  \(ByteSize.fixed(bitsPerWeight, 2)) in the quantized layers")
    lines.append("peak memory  about \(ByteSize.text(peakBytes(withCalibration: withCalibration)))")
    let speed = Int(Self.assumedOperationsPerSecond / 1e9)
    lines.append(
      "time         about \(TimeSpan.text(seconds(withCalibration: withCalibration))), "
        + "if a thread does \(speed) billion operations a second")
    lines += warnings.map { "warning: \($0)" }
    return lines.joined(separator: "\n") + "\n"
  }

  /// nil for a layer that stays as it is.
  static func describe(_ layer: Layer) -> String? {
    layer.scheme.map { describe($0, layer.choice?.isSettled == false ? layer.choice : nil) }
  }

  static func describe(_ scheme: LayerScheme, _ choice: SchemeChoice? = nil) -> String {
    var text = choice?.description ?? scheme.weights.map { "\($0)" } ?? "weights as they are"
    if let inputs = scheme.inputs { text += ", inputs \(inputs)" }
    return text
  }
}
