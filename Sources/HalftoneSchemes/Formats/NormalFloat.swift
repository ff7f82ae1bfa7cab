/// NF4: sixteen quantiles of a normal distribution, scaled to [−1, 1], with an exact 0.
///
/// Dettmers, Pagnoni, Holtzman, Zettlemoyer. *QLoRA: Efficient Finetuning of Quantized LLMs.* NeurIPS
/// 2023. <https://arxiv.org/abs/2305.14314>; the values as in bitsandbytes.
public struct NormalFloat: NumberFormat, Equatable {
  public init() {}

  public var name: String { "nf4" }
  public var bits: Int { 4 }
  public var values: CodeValues {
    .table([
      -1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
      -0.18477343022823334, -0.09105003625154495, 0, 0.07958029955625534, 0.16093020141124725,
      0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
      0.7229568362236023, 1,
    ])
  }
}
