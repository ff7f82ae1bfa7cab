// swift-format-ignore-file
// Written by Scripts/embed-recipes from Recipes/*.yaml; do not edit.

let cbqRecipes: [String: String] = [
  "cbq-w2a16-lora": #"""
    # 2-bit weights per channel by CBQ with its rounding of low rank, outlying weights clipped first.
    scheme:
      weights: { type: int, bits: 2, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - truncate-outliers: { activations: false }
      - cbq: { rounding: lora }
    calibration: { samples: 512, length: 256 }

    """#,
  "cbq-w2a16": #"""
    # 2-bit weights per channel by CBQ: windows of two blocks, each sharing one with the next.
    scheme:
      weights: { type: int, bits: 2, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - cbq
    calibration: { samples: 512, length: 256 }

    """#,
  "cbq-w4a4-truncate-outliers": #"""
    # 4-bit weights per channel and 4-bit inputs per token by CBQ, outlying weights clipped and channels divided first.
    scheme:
      weights: { type: int, bits: 4, granularity: channel, symmetric: true, range: min-mse }
      inputs: { type: int, bits: 4, granularity: token, dynamic: true, symmetric: true }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - truncate-outliers
      - cbq
    calibration: { samples: 512, length: 256 }

    """#,
  "cbq-w4a4": #"""
    # 4-bit weights per channel and 4-bit inputs per token by CBQ: windows of two blocks, each sharing one with the next.
    scheme:
      weights: { type: int, bits: 4, granularity: channel, symmetric: true, range: min-mse }
      inputs: { type: int, bits: 4, granularity: token, dynamic: true, symmetric: true }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - cbq
    calibration: { samples: 512, length: 256 }

    """#,
  "cbq-w4a8": #"""
    # 4-bit weights per channel and 8-bit inputs per token by CBQ: windows of two blocks, each sharing one with the next.
    scheme:
      weights: { type: int, bits: 4, granularity: channel, symmetric: true, range: min-mse }
      inputs: { type: int, bits: 8, granularity: token, dynamic: true, symmetric: true }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - cbq
    calibration: { samples: 512, length: 256 }

    """#,
]
