import HalftoneLayers
import HalftoneReport
import HalftoneSchemes

/// What a run found for one block: all that the output needs of it.
struct BlockResult {
  /// What a run found for one layer.
  struct Layer {
    var weight: QuantizedTensor
    var inputs: InputQuantizer?
    var record: LayerRecord
  }

  var layers: [Layer]
  var record: BlockRecord
}
