/// A run as one HTML page with no other files.
public enum HTMLReport {
  public static func render(_ record: RunRecord) -> String { "" }
}
