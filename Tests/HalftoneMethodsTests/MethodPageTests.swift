import Foundation
import HalftoneMethods
import HalftonePipeline
import HalftoneTestSupport
import Testing

/// Every step of the catalogue has a page that tells the truth about its parameters.
@Suite struct MethodPageTests {
  static let names = MethodCatalog.steps.map { $0.name }

  @Test(arguments: MethodPageTests.names) func listsEveryKeyWithItsDefault(_ name: String)
    throws
  {
    let type = try #require(MethodCatalog.steps.first { $0.name == name })
    let stated = try Self.parameterRows(of: try Self.page(type))
    let defaults = try Recipe.parameters(of: type.init())
    #expect(stated.keys.sorted() == defaults.keys.sorted())
    for (key, value) in defaults {
      let cell = stated[key] ?? ""
      #expect(Float(cell).map { $0 == Float(value) } ?? (cell == value), "\(key): \(cell)")
    }
  }

  @Test(arguments: MethodPageTests.names) func namesItselfAndItsSource(_ name: String) throws {
    let type = try #require(MethodCatalog.steps.first { $0.name == name })
    let page = try Self.page(type)
    #expect(page.hasPrefix("# ") && page.contains("(`\(name)`)\n"))
    let links = type.citation.split(separator: " ").filter { $0.hasPrefix("https://") }
    for link in links { #expect(page.contains("<\(link)>")) }
  }

  private static func page(_ type: any RecipeStep.Type) throws -> String {
    let data = try Repository.data("Documentation/Methods/\(String(describing: type)).md")
    return try #require(String(data: data, encoding: .utf8))
  }

  /// Keys and defaults of the table under "## Parameters": rows "| `key` | default | meaning |".
  private static func parameterRows(of page: String) throws -> [String: String] {
    let after = try #require(page.components(separatedBy: "\n## Parameters\n").dropFirst().first)
    let section = after.components(separatedBy: "\n## ")[0]
    var rows: [String: String] = [:]
    for line in section.split(separator: "\n") where line.hasPrefix("| `") {
      let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
      rows[cells[0].trimmingCharacters(in: ["`"])] = cells[1]
    }
    return rows
  }
}
