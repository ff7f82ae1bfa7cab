/// −1, 0 and 1 in 2 bits, two's complement; the fourth code stands for nothing.
///
/// Li, Liu. *Ternary Weight Networks.* 2016. <https://arxiv.org/abs/1605.04711>. Scales: ``RangeRule/twn``,
/// ``RangeRule/absMean``.
public struct TernaryFormat: NumberFormat, Equatable {
  public init() {}

  public var name: String { "ternary" }
  public var bits: Int { 2 }
  public var values: CodeValues { .table([0, 1, .nan, -1]) }
}

/// −1 and 1 in a bit, a set bit for 1.
///
/// Rastegari, Ordonez, Redmon, Farhadi. *XNOR-Net.* ECCV 2016. <https://arxiv.org/abs/1603.05279>. The scale
/// with the least squared error is the mean magnitude, ``RangeRule/absMean``.
public struct BinaryFormat: NumberFormat, Equatable {
  public init() {}

  public var name: String { "binary" }
  public var bits: Int { 1 }
  public var values: CodeValues { .table([-1, 1]) }
}
