// swift-format-ignore-file
// Written by Scripts/embed-recipes from Recipes/*.yaml; do not edit.

let gptqRecipes: [String: String] = [
  "gptq-nvfp4": #"""
    # NVFP4: 4-bit floats in groups of 16 with scales of 8 bits, by GPTQ.
    scheme:
      weights: { type: nvfp4, range: min-mse }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - gptq
    calibration: { samples: 128, length: 256 }

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
]
