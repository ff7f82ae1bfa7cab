// swift-format-ignore-file
// Written by Scripts/embed-recipes from Recipes/*.yaml; do not edit.

let rtnRecipes: [String: String] = [
  "rtn-mxfp4": #"""
    # MXFP4: 4-bit floats in groups of 32 with powers of two as scales, rounded to nearest.
    scheme:
      weights: { type: mxfp4, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - rtn

    """#,
  "rtn-nvfp4": #"""
    # NVFP4: 4-bit floats in groups of 16 with scales of 8 bits, rounded to nearest.
    scheme:
      weights: { type: nvfp4, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - rtn

    """#,
  "rtn-w4a16-bias-correction": #"""
    # 4-bit weights per channel, rounded to nearest, with biases that restore the means of the outputs.
    scheme:
      weights: { type: int, bits: 4, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - rtn
      - bias-correction
    calibration: { samples: 128, length: 256 }

    """#,
  "rtn-w4a16-g128": #"""
    # 4-bit weights in groups of 128, rounded to nearest; no text needed.
    scheme:
      weights: { type: int, bits: 4, group: 128, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - rtn

    """#,
  "rtn-w4a16-lorc": #"""
    # 4-bit weights per channel, rounded to nearest, with a low-rank correction of rank 8: no text needed.
    scheme:
      weights: { type: int, bits: 4, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - rtn
      - lorc: { rank: 8 }

    """#,
  "rtn-w4a16": #"""
    # 4-bit weights per channel, rounded to nearest: the baseline, no text needed.
    scheme:
      weights: { type: int, bits: 4, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - rtn

    """#,
  "rtn-w8a8": #"""
    # 8-bit weights per channel and 8-bit inputs per token, rounded to nearest.
    scheme:
      weights: { type: int, bits: 8, granularity: channel, symmetric: true, range: min-mse }
      inputs: { type: int, bits: 8, granularity: token, dynamic: true, symmetric: true }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - rtn

    """#,
]
