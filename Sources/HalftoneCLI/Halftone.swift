import ArgumentParser

@main
struct Halftone: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "halftone", abstract: "Quantizes neural networks and measures what that costs.")
}
