import HalftoneCheckpoints
import HalftoneLayers
import HalftoneMethods
import HalftoneReport
import HalftoneSchemes
import HalftoneTensor

/// What a run found for one block: all that the output needs of it.
struct BlockResult {
  /// What a run found for one layer.
  struct Layer {
    var weight: QuantizedTensor
    var inputs: InputQuantizer?
    /// In the place of the layer's bias.
    var bias: Tensor?
    var lowRank: LowRankFactors?
    var record: LayerRecord

    /// What the layer holds besides codes, scales and zero points.
    var additions: LayerAdditions {
      LayerAdditions(bias: bias, lowRank: lowRank, outliers: weight.outliers)
    }

    init(_ solution: LayerSolution, record: LayerRecord) {
      weight = solution.weight
      inputs = solution.inputs
      bias = solution.bias
      lowRank = solution.lowRank
      self.record = record
    }
  }

  var layers: [Layer]
  /// Changed tensors that are not weights of these layers, by their names in the checkpoint.
  var parameters: [String: Tensor] = [:]
  var record: BlockRecord
}
