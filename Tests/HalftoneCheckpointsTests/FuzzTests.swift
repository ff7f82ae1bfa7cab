import Foundation
import HalftoneCheckpoints
import HalftoneSchemes
import HalftoneTensor
import Testing

/// Broken files end in errors: never in a crash, and never in memory the file does not justify.
@Suite struct FuzzTests {
  /// Changes to valid bytes, the same for a seed.
  private struct Mutator {
    var random: SeededGenerator

    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<max(1, bound), using: &random) }

    /// `bytes` with one to four changes, most of them in the first `head`.
    mutating func mutated(_ bytes: [UInt8], head: Int) -> [UInt8] {
      var result = bytes
      for _ in 0...below(4) where !result.isEmpty {
        let at = below(below(8) == 0 ? result.count : min(head, result.count))
        switch below(7) {
        case 0: result[at] ^= 1 << UInt8(below(8))
        case 1: result[at] = UInt8(below(256))
        case 2: result.removeSubrange(at..<min(result.count, at + 1 + below(8)))
        case 3: result.insert(contentsOf: result[at..<min(result.count, at + below(40))], at: at)
        case 4: result = Array(result[..<at])
        case 5: result[at] = [0x22, 0x2C, 0x3A, 0x5B, 0x5D, 0x7B, 0x7D, 0x2D][below(8)]
        default: replaceNumber(&result, from: at)
        }
      }
      return result
    }

    /// Replaces the next number of a text by one that is likely to overflow something.
    private mutating func replaceNumber(_ bytes: inout [UInt8], from: Int) {
      let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
      guard let start = bytes[from...].firstIndex(where: digits.contains) else { return }
      let end = bytes[start...].firstIndex { !digits.contains($0) } ?? bytes.count
      let numbers = [
        "0", "1", "-1", "3", "7", "9", "31", "2147483648", "4294967297", "9223372036854775807",
        "9223372036854775808", "1e308", "0.5", "99999999999999999999999",
      ]
      bytes.replaceSubrange(start..<end, with: Array(numbers[below(numbers.count)].utf8))
    }
  }

  /// Reads everything there is, and counts what was refused.
  private func use(_ open: () throws -> any WeightStore) -> Bool {
    var isIntact = true
    func attempt(_ body: () throws -> Void) {
      do { try body() } catch { isIntact = false }
    }
    attempt {
      let store = try open()
      for name in store.names {
        attempt { _ = try store.tensor(name).float() }
        attempt { try store.checkFinite(name) }
        guard let end = name.range(of: ".weight")?.lowerBound else { continue }
        attempt {
          guard case .quantized(let weight) = try store.linearWeight(String(name[..<end])) else {
            return
          }
          _ = weight.dequantized()
        }
        attempt { _ = try store.storedInputScheme(String(name[..<end])) }
      }
    }
    return isIntact
  }

  @Test(arguments: [
    "w3-group32-asymmetric", "w4-channel-asymmetric", "w8a8-static-asymmetric", "nvfp4", "mxfp6",
    "fp8-channel", "../gptq/v1-w3-group32-asymmetric", "../gptq/v1-w4-activation-order",
    "../gptq/v2-dynamic", "../awq/group32", "../mlx/mixed", "../mlx/nvfp4",
  ])
  func directories(name: String) throws {
    let folder = golden("compressed-tensors/" + name)
    let weights = try contents(folder + "/model.safetensors")
    let config = try contents(folder + "/config.json")
    let header = 8 + weights.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    var mutator = Mutator(random: SeededGenerator(seed: 1))
    let scratch = try ScratchDirectory()
    var refused = 0
    for round in 0..<1500 {
      let isConfig = round % 2 == 0
      _ = try scratch.file(
        "model.safetensors", isConfig ? weights : mutator.mutated(weights, head: header))
      _ = try scratch.file("config.json", isConfig ? mutator.mutated(config, head: 1600) : config)
      if !use({ try Checkpoint(path: scratch.path) }) { refused += 1 }
    }
    #expect(refused > 700)
  }

  @Test func indexes() throws {
    let scratch = try ScratchDirectory()
    for (file, name) in [("one", "a"), ("two", "b")] {
      let writer = try SafetensorsWriter(
        path: scratch.path + "/\(file).safetensors",
        tensors: [TensorDescription(name: name, type: .float32, shape: [2])])
      try writer.write(name, Tensor([1, 2]))
      try writer.finish()
    }
    _ = try scratch.file("config.json", "{}")
    let index = Array(
      #"{"metadata":{"total_size":16},"weight_map":{"a":"one.safetensors","b":"two.safetensors"}}"#
        .utf8)
    var mutator = Mutator(random: SeededGenerator(seed: 2))
    var refused = 0
    for _ in 0..<2000 {
      _ = try scratch.file(
        "model.safetensors.index.json", mutator.mutated(index, head: index.count))
      if !use({ try Checkpoint(path: scratch.path) }) { refused += 1 }
    }
    #expect(refused > 1000)
  }

  @Test func llama2CFiles() throws {
    let sizes: [Int32] = [4, 2, 1, 1, 1, -3, 2]
    let floats = 12 + 4 + 4 * 16 + 4 + 3 * 8 + 4 + 2 * 2 * 2 + 12
    let valid =
      sizes.flatMap { size in withUnsafeBytes(of: size.littleEndian) { Array($0) } }
      + [UInt8](repeating: 0, count: 4 * floats)
    var mutator = Mutator(random: SeededGenerator(seed: 3))
    let scratch = try ScratchDirectory()
    var refused = 0
    for _ in 0..<4000 {
      let path = try scratch.file("a.bin", mutator.mutated(valid, head: 28))
      if !use({ try Llama2CCheckpoint(path: path) }) { refused += 1 }
    }
    #expect(refused > 3000)
  }
}
