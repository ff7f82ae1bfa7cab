import HalftoneSchemes
import HalftoneTensor

// The scales of compressed-tensors, and of Halftone's own layout beside it.

extension Checkpoint {
  /// The levels of scales, and what they are in bytes where they were quantized themselves.
  func storedScales(
    _ module: String, _ scheme: WeightScheme, _ shape: [Int]
  ) throws -> (levels: [Tensor], nested: NestedScales?) {
    let name = module + ".weight_scale"
    let stored = try description(of: name)
    let table = try scheme.granularity.tableShape(rows: shape[0], columns: shape[1])
    let matches =
      stored.shape == [table.rows, table.columns]
      || table.columns == 1
        && (stored.shape == [table.rows] || stored.shape == [1] && table.rows == 1)
    let types = scheme.scales.storedType.map { [$0] } ?? [.float32, .float16, .bfloat16]
    guard matches, types.contains(stored.type) else {
      throw CheckpointError(
        .malformed,
        "\(path): \(name) is \(stored.type.rawValue) \(stored.shape); "
          + "a scheme \(scheme.granularity) of a matrix \(shape) needs "
          + "\(scheme.scales.storedType?.rawValue ?? "floats") [\(table.rows), \(table.columns)]")
    }
    guard scheme.scales != .float else {
      try checkFinite(name)
      return ([try tensor(name).float().reshaped([table.rows, table.columns])], nil)
    }
    let cells = [table.rows, table.columns]
    if scheme.scales == .nested {
      let nested = try nestedScales(module)
      return ([Tensor(nested.scales, shape: cells)], nested)
    }
    if let bits = scheme.scales.dyadicBits {
      return ([Tensor(try dyadicScales(module, bits: bits), shape: cells)], nil)
    }
    return (try byteScales(module, scheme, cells), nil)
  }

  /// Scales of a byte each, with floats for the matrix or its rows.
  private func byteScales(
    _ module: String, _ scheme: WeightScheme, _ cells: [Int]
  ) throws -> [Tensor] {
    let name = module + ".weight_scale"
    let known = (0...255).map { scheme.scales.value(of: UInt8($0)) }
    let values = try withBytes(of: name) { bytes in
      try bytes.map { byte in
        guard let value = known[Int(byte)] else {
          throw CheckpointError(
            .malformed,
            "\(path): \(name) holds the byte \(byte), which is no scale above 0; quantize the "
              + "original model again")
        }
        return value
      }
    }
    let scales = Tensor(values, shape: cells)
    if scheme.scales.hasRowUnits { return [scales, try rowScales(module, cells[0])] }
    guard scheme.scales == .e4m3 else { return [scales] }
    let global = try number(module + ".weight_global_scale")
    guard let global, global > 0, global.isFinite, (1 / global).isNormal,
      ((values.max() ?? 0) * (1 / global)).isFinite
    else {
      throw CheckpointError(
        .malformed, "\(path): \(module).weight_global_scale is missing, not above 0 or too small")
    }
    return global == 1 ? [scales] : [scales, Tensor([1 / global], shape: [1, 1])]
  }

  /// The floats [rows, 1] that the scales of each row are multiples of.
  private func rowScales(_ module: String, _ rows: Int) throws -> Tensor {
    let name = module + ".weight_row_scale"
    let units = try tensor(name).float()
    guard units.shape == [rows, 1],
      units.withElements({ $0.allSatisfy { $0.isNormal && $0 > 0 && $0 < 0x1p120 } })
    else {
      throw CheckpointError(
        .malformed, "\(path): \(name) \(units.shape) is not \(rows) floats above 0")
    }
    return units
  }

  /// Codes around a mean, with a float for each 256 of them.
  private func nestedScales(_ module: String) throws -> NestedScales {
    let mean = try number(module + ".weight_scale_mean")
    let units = try tensor(module + ".weight_scale_unit").float().values
    do {
      return try NestedScales.loaded(
        codes: try withBytes(of: module + ".weight_scale") { Array($0) }, units: units,
        mean: mean ?? .nan)
    } catch let error as SchemeError {
      throw CheckpointError(.malformed, "\(path): \(module).weight_scale: \(error)")
    }
  }

  /// b of one or two bytes in `weight_scale`, c of a byte in `weight_scale_shift`.
  private func dyadicScales(_ module: String, bits: Int) throws -> [Float] {
    let shifts = module + ".weight_scale_shift"
    let multipliers = try withBytes(of: module + ".weight_scale") { bytes in
      bits == 8
        ? bytes.map { Int32($0) }
        : stride(from: 0, to: bytes.count, by: 2).map {
          Int32(bytes[$0]) | Int32(bytes[$0 + 1]) << 8
        }
    }
    guard try description(of: shifts).type == .uint8 else {
      throw CheckpointError(.malformed, "\(path): \(shifts) is not U8")
    }
    return try withBytes(of: shifts) { bytes in
      guard bytes.count == multipliers.count else {
        throw CheckpointError(
          .malformed,
          "\(path): \(shifts) has \(bytes.count) shifts for \(multipliers.count) scales")
      }
      return try zip(multipliers, bytes).map { multiplier, shift in
        let value =
          multiplier > 0 ? Float(Dyadic(multiplier: multiplier, shift: Int(shift)).value) : 0
        guard value.isNormal else {
          throw CheckpointError(
            .malformed, "\(path): \(module) holds the scale \(multiplier)/2^\(shift), which is none"
          )
        }
        return value
      }
    }
  }
}
