// swift-format-ignore-file
// Written by Scripts/embed-recipes from Recipes/*.yaml; do not edit.

let pdquantRecipes: [String: String] = [
  "pd-quant-w2a16": #"""
    # 2-bit weights per channel by PD-Quant.
    scheme:
      weights: { type: int, bits: 2, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - pd-quant
    calibration: { samples: 512, length: 256 }

    """#,
  "pd-quant-w4a4": #"""
    # 4-bit weights per channel and 4-bit inputs per token by PD-Quant.
    scheme:
      weights: { type: int, bits: 4, granularity: channel, symmetric: true, range: min-mse }
      inputs: { type: int, bits: 4, granularity: token, dynamic: true, symmetric: true }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - pd-quant
    calibration: { samples: 512, length: 256 }

    """#,
]
