// swift-format-ignore-file
// Written by Scripts/embed-recipes from Recipes/*.yaml; do not edit.

/// The shipped recipes by name.
let shippedRecipes: [String: String] = [
  adaquantRecipes,
  adaroundRecipes,
  brecqRecipes,
  cbqRecipes,
  dgqRecipes,
  discquantRecipes,
  flexroundRecipes,
  gptqRecipes,
  llmint8Recipes,
  lrqRecipes,
  pdquantRecipes,
  qdropRecipes,
  quanteaseRecipes,
  rtnRecipes,
  rtnnf4doubleRecipes,
  signroundRecipes,
  tunedRecipes,
].reduce(into: [:]) { $0.merge($1) { $1 } }
