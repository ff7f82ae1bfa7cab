import HalftoneTokenizers
import Testing

struct CharacterClassTests {
  private struct Runs: Decodable {
    var starts: [UInt32]
    var classes: String
  }

  /// Every scalar, against the classes that the reference's regular expressions see.
  ///
  /// The reference knows Unicode 16; scalars that this library learned of later, or that an older
  /// one does not know yet, may differ.
  @Test func everyScalarHasTheClassOfTheExpressions() throws {
    let runs = try GoldenFiles.decode(Runs.self, "classes.json")
    let names: [Character: CharacterClass] = [
      "l": .letter, "n": .number, "s": .space, "o": .other,
    ]
    let ends = runs.starts.dropFirst() + [0x110000]
    var wrong: [UInt32] = []
    var checked = 0
    for ((start, end), name) in zip(zip(runs.starts, ends), runs.classes) {
      let expected = try #require(names[name])
      for value in start..<end {
        guard let scalar = Unicode.Scalar(value) else { continue }
        checked += 1
        let age = scalar.properties.age
        if let age, age.major <= 16, CharacterClass(scalar) != expected { wrong.append(value) }
        if age == nil, CharacterClass(scalar) != .other { wrong.append(value) }
      }
    }
    #expect(checked == 0x110000 - 0x800)
    let listed = wrong.prefix(40).map { String($0, radix: 16) }
    #expect(wrong.isEmpty, "\(wrong.count): \(listed)")
  }
}
