// swift-format-ignore-file
// Written by Scripts/embed-recipes from Recipes/*.yaml; do not edit.

let flexroundRecipes: [String: String] = [
  "flexround-nvfp4": #"""
    # NVFP4: 4-bit floats in groups of 16 with scales of 8 bits, roundings learned by FlexRound.
    scheme:
      weights: { type: nvfp4, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - flexround
    calibration: { samples: 512, length: 256 }

    """#,
  "flexround-w2a16": #"""
    # 2-bit weights per channel by FlexRound.
    scheme:
      weights: { type: int, bits: 2, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - flexround
    calibration: { samples: 512, length: 256 }

    """#,
  "flexround-w3a16": #"""
    # 3-bit weights per channel by FlexRound.
    scheme:
      weights: { type: int, bits: 3, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - flexround
    calibration: { samples: 512, length: 256 }

    """#,
  "flexround-w4a16-g128": #"""
    # 4-bit weights in groups of 128 by FlexRound.
    scheme:
      weights: { type: int, bits: 4, group: 128, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - flexround
    calibration: { samples: 512, length: 256 }

    """#,
  "flexround-w4a16": #"""
    # 4-bit weights per channel by FlexRound.
    scheme:
      weights: { type: int, bits: 4, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - flexround
    calibration: { samples: 512, length: 256 }

    """#,
  "flexround-w4a8-static": #"""
    # 4-bit weights per channel and 8-bit inputs on one learned grid per layer by FlexRound.
    scheme:
      weights: { type: int, bits: 4, granularity: channel, symmetric: true, range: min-mse }
      inputs: { type: int, bits: 8, granularity: tensor, dynamic: false, symmetric: false }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - flexround
    calibration: { samples: 512, length: 256 }

    """#,
  "flexround-w4a8": #"""
    # 4-bit weights per channel and 8-bit inputs per token by FlexRound.
    scheme:
      weights: { type: int, bits: 4, granularity: channel, symmetric: true, range: min-mse }
      inputs: { type: int, bits: 8, granularity: token, dynamic: true, symmetric: true }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - flexround
    calibration: { samples: 512, length: 256 }

    """#,
  "flexround-w8a8-static": #"""
    # 8-bit weights per channel and 8-bit inputs on one learned grid per layer by FlexRound.
    scheme:
      weights: { type: int, bits: 8, granularity: channel, symmetric: true, range: min-mse }
      inputs: { type: int, bits: 8, granularity: tensor, dynamic: false, symmetric: false }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - flexround
    calibration: { samples: 512, length: 256 }

    """#,
  "flexround-w8a8": #"""
    # 8-bit weights per channel and 8-bit inputs per token by FlexRound.
    scheme:
      weights: { type: int, bits: 8, granularity: channel, symmetric: true, range: min-mse }
      inputs: { type: int, bits: 8, granularity: token, dynamic: true, symmetric: true }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - flexround
    calibration: { samples: 512, length: 256 }

    """#,
  "flexround": #"""
    # 4-bit weights per channel by FlexRound.
    scheme:
      weights: { type: int, bits: 4, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - flexround
    calibration: { samples: 512, length: 256 }

    """#,
]
