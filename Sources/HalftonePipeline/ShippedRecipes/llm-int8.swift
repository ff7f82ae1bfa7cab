// swift-format-ignore-file
// Written by Scripts/embed-recipes from Recipes/*.yaml; do not edit.

let llmint8Recipes: [String: String] = [
  "llm-int8": #"""
    # LLM.int8(): vector-wise 8-bit integers, with input elements of 6 and more kept as floats.
    # Dettmers, Lewis, Belkada, Zettlemoyer. "LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale."
    # NeurIPS 2022, arXiv 2208.07339. Needs no calibration text.
    scheme:
      weights: { type: int, bits: 8, granularity: channel, symmetric: true, range: min-max }
      inputs: { type: int, bits: 8, granularity: token, dynamic: true, symmetric: true, outlier-threshold: 6 }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - rtn
    calibration: { samples: 128, length: 256 }

    """#,
]
