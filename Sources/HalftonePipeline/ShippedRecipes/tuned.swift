// swift-format-ignore-file
// Written by Scripts/embed-recipes from Recipes/*.yaml; do not edit.

let tunedRecipes: [String: String] = [
  "w4a16": #"""
    # 4-bit weights in groups of 128 by GPTQ, ranges of least error.
    # The W4A16-INT recipe of Kurtic and others, "Give Me BF16 or Give Me Death?", arXiv 2411.02355.
    scheme:
      weights: { type: int, bits: 4, group: 128, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - gptq
    calibration: { samples: 128, length: 256 }

    """#,
  "w8a8-fp8-e3m4": #"""
    # 8-bit floats of three exponent bits: weights per channel rounded to nearest, inputs per token; needs no text.
    # As w8a8-fp8, nearer to the original where there are no outliers; stored in Halftone's own format, for
    # hardware and files have E4M3.
    scheme:
      weights: { type: e3m4, granularity: channel, range: min-max }
      inputs: { type: e3m4, granularity: token, dynamic: true }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - rtn

    """#,
  "w8a8-fp8": #"""
    # 8-bit floats: weights per channel rounded to nearest, inputs per token as they come; needs no text.
    # The W8A8-FP recipe of Kurtic and others, "Give Me BF16 or Give Me Death?", arXiv 2411.02355.
    scheme:
      weights: { type: fp8, granularity: channel, range: min-max }
      inputs: { type: fp8, granularity: token, dynamic: true }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - rtn

    """#,
  "w8a8-int8": #"""
    # 8-bit integers: weights per channel by GPTQ, inputs per token as they come.
    # The W8A8-INT recipe of Kurtic and others, "Give Me BF16 or Give Me Death?", arXiv 2411.02355, without the
    # smoothing that they add for 70 billion parameters.
    scheme:
      weights: { type: int, bits: 8, granularity: channel, symmetric: true, range: min-mse }
      inputs: { type: int, bits: 8, granularity: token, dynamic: true, symmetric: true }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - gptq
    calibration: { samples: 128, length: 256 }

    """#,
]
