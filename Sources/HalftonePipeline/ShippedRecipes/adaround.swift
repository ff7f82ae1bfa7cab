// swift-format-ignore-file
// Written by Scripts/embed-recipes from Recipes/*.yaml; do not edit.

let adaroundRecipes: [String: String] = [
  "adaround-w3a16": #"""
    # 3-bit weights per channel by AdaRound.
    scheme:
      weights: { type: int, bits: 3, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - adaround
    calibration: { samples: 512, length: 256 }

    """#,
  "adaround-w4a16": #"""
    # 4-bit weights per channel by AdaRound.
    scheme:
      weights: { type: int, bits: 4, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - adaround
    calibration: { samples: 512, length: 256 }

    """#,
]
