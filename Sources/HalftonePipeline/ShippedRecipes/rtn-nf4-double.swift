// swift-format-ignore-file
// Written by Scripts/embed-recipes from Recipes/*.yaml; do not edit.

let rtnnf4doubleRecipes: [String: String] = [
  "rtn-nf4-double": #"""
    # QLoRA's NF4: sixteen normal quantiles in groups of 64, whose scales are 8-bit numbers themselves.
    scheme:
      weights: { type: nf4-double, range: min-max }
      ignore: [ lm_head, embed_tokens ]
    steps:
      - rtn

    """#,
]
