// swift-format-ignore-file
// Written by Scripts/embed-recipes from Recipes/*.yaml; do not edit.

let adaquantRecipes: [String: String] = [
  "adaquant-w4a16": #"""
    # 4-bit weights per channel by AdaQuant.
    scheme:
      weights: { type: int, bits: 4, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - adaquant
    calibration: { samples: 512, length: 256 }

    """#,
]
