// swift-format-ignore-file
// Written by Scripts/embed-recipes from Recipes/*.yaml; do not edit.

let quanteaseRecipes: [String: String] = [
  "quantease-w2a16": #"""
    # 2-bit weights per channel by QuantEase, from GPTQ.
    scheme:
      weights: { type: int, bits: 2, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - quantease
    calibration: { samples: 128, length: 256 }

    """#,
  "quantease-w3a16-outliers": #"""
    # 3-bit weights per channel by QuantEase, with 1 % of them kept unrounded.
    scheme:
      weights: { type: int, bits: 3, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - quantease: { outliers: 0.01 }
    calibration: { samples: 128, length: 256 }

    """#,
  "quantease-w3a16": #"""
    # 3-bit weights per channel by QuantEase, from GPTQ.
    scheme:
      weights: { type: int, bits: 3, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - quantease
    calibration: { samples: 128, length: 256 }

    """#,
  "quantease-w4a16": #"""
    # 4-bit weights per channel by QuantEase, from GPTQ.
    scheme:
      weights: { type: int, bits: 4, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - quantease
    calibration: { samples: 128, length: 256 }

    """#,
]
