import HalftonePipeline
import Testing

@Suite struct FiguresTests {
  @Test(arguments: [
    ("8GiB", 8 << 30), ("1.5 MiB", 3 << 19), ("500MB", 500_000_000), ("4096", 4096),
    ("2g", 2 << 30),
    ("1 kb", 1000),
  ])
  func sizesAreRead(_ text: String, _ bytes: Int) { #expect(ByteSize.parse(text) == bytes) }

  @Test(arguments: ["", "GiB", "-1GiB", "8 gigs", "1e99", "99999999999TiB", "0"])
  func othersAreNot(_ text: String) { #expect(ByteSize.parse(text) == nil) }

  @Test(arguments: [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (150 << 20, "150 MiB")])
  func sizesAreWritten(_ bytes: Int, _ text: String) { #expect(ByteSize.text(bytes) == text) }

  @Test(arguments: [
    (0.04, 1, "0.0"), (0.05, 1, "0.1"), (-0.04, 1, "0.0"), (-1.25, 1, "-1.3"), (2.005, 0, "2"),
    (1.0625, 3, "1.063"), (10.007, 2, "10.01"),
  ])
  func decimals(_ value: Double, _ count: Int, _ text: String) {
    #expect(ByteSize.fixed(value, count) == text)
  }

  @Test(arguments: [(0.42, "0.4 s"), (59.4, "59 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")])
  func spans(_ seconds: Double, _ text: String) { #expect(TimeSpan.text(seconds) == text) }

  @Test func tablesAlign() {
    let lines = TextTable.lines(["a", "bb"], [["long", "1"], ["x", "22"]], rightAligned: [1])
    #expect(lines == ["a     bb", "long   1", "x     22"])
  }
}
