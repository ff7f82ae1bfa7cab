// swift-format-ignore-file
// Written by Scripts/embed-recipes from Recipes/*.yaml; do not edit.

let dgqRecipes: [String: String] = [
  "dgq-w4a8": #"""
    # Dual Grained Quantization: 4-bit codes whose group scales are whole numbers, so that they become 8-bit
    # weights with one scale a row; inputs in 8 bits with a fixed range, after percentile smoothing.
    scheme:
      weights: { type: int, bits: 4, group: 128, symmetric: false, scales: int-row }
      inputs: { type: int, bits: 8, granularity: tensor, dynamic: false }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - percentile-smoothing
      - dgq
    calibration: { samples: 32, length: 256 }

    """#,
]
