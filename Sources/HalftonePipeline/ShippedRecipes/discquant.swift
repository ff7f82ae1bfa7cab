// swift-format-ignore-file
// Written by Scripts/embed-recipes from Recipes/*.yaml; do not edit.

let discquantRecipes: [String: String] = [
  "discquant-w3a16-g64": #"""
    # 3-bit weights in groups of 64 by DiscQuant: 3.25 bits with 16-bit scales; the files hold 32-bit ones, 3.50.
    scheme:
      weights: { type: int, bits: 3, group: 64, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - discquant
    calibration: { samples: 512, length: 256 }

    """#,
]
