// swift-format-ignore-file
// Written by Scripts/embed-recipes from Recipes/*.yaml; do not edit.

let brecqRecipes: [String: String] = [
  "brecq-w3a16": #"""
    # 3-bit weights per channel by BRECQ with Fisher weighting.
    scheme:
      weights: { type: int, bits: 3, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - brecq: { fisher: true }
    calibration: { samples: 512, length: 256 }

    """#,
]
