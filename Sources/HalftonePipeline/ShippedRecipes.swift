// swift-format-ignore-file
// Written by Scripts/embed-recipes from Recipes/*.yaml; do not edit.

/// The shipped recipes by name.
let shippedRecipes: [String: String] = [
  "adaquant-w4a16": #"""
    # 4-bit weights per channel by AdaQuant.
    scheme:
      weights: { type: int, bits: 4, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - adaquant
    calibration: { samples: 512, length: 256 }

    """#,
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
  "brecq-w3a16": #"""
    # 3-bit weights per channel by BRECQ with Fisher weighting.
    scheme:
      weights: { type: int, bits: 3, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - brecq: { fisher: true }
    calibration: { samples: 512, length: 256 }

    """#,
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
  "discquant-w3a16-g64": #"""
    # 3-bit weights in groups of 64 by DiscQuant: 3.25 bits with 16-bit scales; the files hold 32-bit ones, 3.50.
    scheme:
      weights: { type: int, bits: 3, group: 64, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - discquant
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
  "gptq-w3a16-asymmetric": #"""
    # 3-bit weights per channel by GPTQ, towards the outputs of the original network.
    scheme:
      weights: { type: int, bits: 3, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - gptq: { asymmetric: true }
    calibration: { samples: 128, length: 256 }

    """#,
  "gptq-w3a16-lorc": #"""
    # 3-bit weights per channel by GPTQ, with a low-rank correction of rank 8.
    scheme:
      weights: { type: int, bits: 3, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - gptq
      - lorc: { rank: 8, activation-aware: true }
    calibration: { samples: 128, length: 256 }

    """#,
  "gptq-w3a16": #"""
    # 3-bit weights per channel by GPTQ.
    scheme:
      weights: { type: int, bits: 3, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - gptq
    calibration: { samples: 128, length: 256 }

    """#,
  "gptq-w4a16-g128": #"""
    # 4-bit weights in groups of 128 by GPTQ.
    scheme:
      weights: { type: int, bits: 4, group: 128, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - gptq
    calibration: { samples: 128, length: 256 }

    """#,
  "gptq-w4a16": #"""
    # 4-bit weights per channel by GPTQ.
    scheme:
      weights: { type: int, bits: 4, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - gptq
    calibration: { samples: 128, length: 256 }

    """#,
  "lrq-w3a16": #"""
    # 3-bit weights per channel by LRQ.
    scheme:
      weights: { type: int, bits: 3, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - lrq
    calibration: { samples: 512, length: 256 }

    """#,
  "lrq-w4a16": #"""
    # 4-bit weights per channel by LRQ.
    scheme:
      weights: { type: int, bits: 4, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - lrq
    calibration: { samples: 512, length: 256 }

    """#,
  "pd-quant-w2a16": #"""
    # 2-bit weights per channel by PD-Quant.
    scheme:
      weights: { type: int, bits: 2, granularity: channel, symmetric: true, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - pd-quant
    calibration: { samples: 512, length: 256 }

    """#,
  "pd-quant-w4a4": #"""
    # 4-bit weights per channel and 4-bit inputs per token by PD-Quant.
    scheme:
      weights: { type: int, bits: 4, granularity: channel, symmetric: true, range: min-mse }
      inputs: { type: int, bits: 4, granularity: token, dynamic: true, symmetric: true }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - pd-quant
    calibration: { samples: 512, length: 256 }

    """#,
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
