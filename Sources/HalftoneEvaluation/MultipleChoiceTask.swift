public import Foundation

/// A question with a list of continuations, one of which is right.
public struct MultipleChoiceItem: Sendable, Equatable, Codable {
  public let query: String
  public let choices: [String]
  /// The index of the right choice.
  public let gold: Int

  public init(query: String, choices: [String], gold: Int) {
    self.query = query
    self.choices = choices
    self.gold = gold
  }
}

/// A named list of questions.
public struct MultipleChoiceTask: Sendable, Equatable {
  public let name: String
  public let items: [MultipleChoiceItem]

  public init(name: String, items: [MultipleChoiceItem]) {
    self.name = name
    self.items = items
  }

  /// Reads one JSON object `{"query", "choices", "gold"}` a line; empty lines are passed over.
  ///
  /// - Throws: ``EvaluationError`` naming the line.
  public init(name: String, jsonLines data: Data) throws(EvaluationError) {
    var items: [MultipleChoiceItem] = []
    for (index, line) in data.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated()
    where !line.allSatisfy({ $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }) {
      items.append(try Self.item(Data(line), "\(name), line \(index + 1)"))
    }
    guard !items.isEmpty else { throw EvaluationError("\(name): no questions in the file") }
    self.init(name: name, items: items)
  }

  private static func item(
    _ line: Data, _ place: String
  ) throws(EvaluationError) -> MultipleChoiceItem {
    let item: MultipleChoiceItem
    do {
      item = try JSONDecoder().decode(MultipleChoiceItem.self, from: line)
    } catch {
      throw EvaluationError(
        "\(place): not an object with \"query\" (text), \"choices\" (list of texts) and \"gold\" "
          + "(index of the right one)")
    }
    guard item.choices.count > 1, item.choices.allSatisfy({ !$0.isEmpty }) else {
      throw EvaluationError("\(place): needs two or more choices, none of them empty")
    }
    guard item.choices.indices.contains(item.gold) else {
      throw EvaluationError(
        "\(place): gold is \(item.gold), but must be from 0 to \(item.choices.count - 1)")
    }
    return item
  }
}

/// How many questions a model answered rightly.
public struct TaskResult: Sendable, Equatable, Codable {
  public let name: String
  public let items: Int
  /// The share whose right choice has the largest log-probability.
  public let accuracy: Double
  /// The share whose right choice has the largest log-probability per byte.
  public let accuracyNormalized: Double
  /// Of the accuracy; nil for one item.
  public let standardError: Double?

  private enum CodingKeys: String, CodingKey {
    case name, items, accuracy
    case accuracyNormalized = "accuracy_normalized"
    case standardError = "standard_error"
  }

  /// From the log-probability of each choice of each item.
  init(_ task: MultipleChoiceTask, scores: [[Double]]) {
    name = task.name
    items = task.items.count
    var right: [Double] = []
    var rightPerByte = 0
    for (item, sums) in zip(task.items, scores) {
      let perByte = zip(sums, item.choices).map { $0 / Double($1.utf8.count) }
      right.append(Self.largest(sums) == item.gold ? 1 : 0)
      rightPerByte += Self.largest(perByte) == item.gold ? 1 : 0
    }
    accuracy = right.reduce(0, +) / Double(max(1, items))
    accuracyNormalized = Double(rightPerByte) / Double(max(1, items))
    standardError = HalftoneEvaluation.standardError(right)
  }

  /// The first of the largest.
  private static func largest(_ values: [Double]) -> Int? {
    values.max().flatMap { values.firstIndex(of: $0) }
  }
}
