// swift-format-ignore-file
// Written by Scripts/embed-recipes from Recipes/*.yaml; do not edit.

let signroundRecipes: [String: String] = [
  "signround-w3a16": #"""
    # 3-bit weights per channel by SignRound.
    scheme:
      weights: { type: int, bits: 3, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - signround
    calibration: { samples: 512, length: 256 }

    """#,
  "signround-w4a16-g64": #"""
    # 4-bit weights in groups of 64 by SignRound (AutoRound).
    scheme:
      weights: { type: int, bits: 4, granularity: group, group: 64, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - signround
    calibration: { samples: 512, length: 256 }

    """#,
  "signround-w4a16": #"""
    # 4-bit weights per channel by SignRound.
    scheme:
      weights: { type: int, bits: 4, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - signround
    calibration: { samples: 512, length: 256 }

    """#,
]
