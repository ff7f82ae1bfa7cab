import ArgumentParser
import Foundation
import HalftoneCheckpoints
import HalftoneEvaluation
import HalftoneInference
import HalftoneLayers
import HalftoneMethods
import HalftoneModels
import HalftonePipeline
import HalftoneSchemes
import HalftoneServer
import HalftoneTensor
import HalftoneTokenizers

/// The exit statuses of the command line, after BSD's sysexits.
enum ExitStatus: Int32 {
  case done = 0
  case usage = 64
  case badInput = 65
  case missing = 66
  case inside = 70
  case cannotCreate = 73
  case inputOutput = 74
  case interrupted = 130

  /// The status an error stands for; nil for errors of the argument parser.
  init?(_ error: any Error) {
    switch error {
    case let error as PipelineError: self.init(error.code)
    case let error as CheckpointError: self.init(error.code)
    case let error as TokenizerError:
      self =
        error.code == .missing ? .missing : error.code == .unreadable ? .inputOutput : .badInput
    case let error as MappedFileError:
      self = [ENOENT, ENOTDIR].contains(error.reason) ? .missing : .inputOutput
    case let error as GenerationError: self = error.isModelFault ? .badInput : .usage
    case is SequenceCacheError, is KeyValueCacheError: self = .usage
    case let error as TrialError: self = error.status
    case let error as ServerError: self = error.code == .wrongHost ? .usage : .inputOutput
    case is RecipeError, is SchemeError, is MethodError, is ModelError, is EvaluationError:
      self = .badInput
    default: return nil
    }
  }

  private init(_ code: PipelineError.Code) {
    switch code {
    case .usage: self = .usage
    case .badInput: self = .badInput
    case .missing: self = .missing
    case .cannotCreate: self = .cannotCreate
    case .inputOutput: self = .inputOutput
    case .interrupted: self = .interrupted
    default: self = .inside
    }
  }

  private init(_ code: CheckpointError.Code) {
    switch code {
    case .missing: self = .missing
    case .malformed: self = .badInput
    case .cannotCreate: self = .cannotCreate
    case .io: self = .inputOutput
    }
  }

  /// Says what went wrong and ends the program.
  static func end(_ error: any Error) -> Never {
    if let status = ExitStatus(error) {
      StandardError.line("halftone: \(error)")
      exit(status.rawValue)
    }
    let code = Halftone.exitCode(for: error)
    guard code == .failure else { Halftone.exit(withError: error) }
    StandardError.line("halftone: internal error: \(error)")
    exit(inside.rawValue)
  }
}
