/// What is said of tensors before they are written: a sentence, and of which it is said.
struct Notices {
  private var said: [(text: String, names: [String])] = []

  /// Says `text` of `name`; with others of which the same is said, unless not `together`.
  mutating func say(_ name: String, _ text: String, together: Bool = true) {
    if together, let index = said.firstIndex(where: { $0.text == text }) {
      said[index].names.append(name)
    } else {
      said.append((text, [name]))
    }
  }

  /// The sentences in the order in which they were first said, with up to three names each.
  var sentences: [String] {
    said.map { text, names in
      let shown = names.prefix(3).joined(separator: ", ")
      return "\(shown)\(names.count > 3 ? " and \(names.count - 3) more" : ""): \(text)"
    }
  }
}
