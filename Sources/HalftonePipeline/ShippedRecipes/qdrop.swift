// swift-format-ignore-file
// Written by Scripts/embed-recipes from Recipes/*.yaml; do not edit.

let qdropRecipes: [String: String] = [
  "qdrop-w4a4": #"""
    # 4-bit weights per channel and 4-bit inputs per token by QDrop.
    scheme:
      weights: { type: int, bits: 4, granularity: channel, symmetric: true, range: min-mse }
      inputs: { type: int, bits: 4, granularity: token, dynamic: true, symmetric: true }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - qdrop
    calibration: { samples: 512, length: 256 }

    """#,
  "qdrop-w4a8": #"""
    # 4-bit weights per channel and 8-bit inputs per token by QDrop.
    scheme:
      weights: { type: int, bits: 4, granularity: channel, symmetric: true, range: min-mse }
      inputs: { type: int, bits: 8, granularity: token, dynamic: true, symmetric: true }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - qdrop
    calibration: { samples: 512, length: 256 }

    """#,
]
