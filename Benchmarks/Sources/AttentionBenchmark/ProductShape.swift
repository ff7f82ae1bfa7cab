import CHalftoneKernels
import COneDNN
import COpenBLAS
import Foundation

/// A product of bfloat16 matrices [m, k] and [n, k]: ours, oneDNN's, and OpenBLAS's of floats.
struct ProductShape {
  let m: Int
  let n: Int
  let k: Int

  static let all = [
    ProductShape(m: 512, n: 2048, k: 2048), ProductShape(m: 512, n: 5632, k: 2048),
    ProductShape(m: 2048, n: 2048, k: 2048), ProductShape(m: 32, n: 2048, k: 2048),
  ]

  static func report() {
    print("bfloat16 products, GFLOP/s")
    for shape in all { shape.measure() }
  }

  private func measure() {
    let (x, w) = (random(m * k), random(n * k))
    let (a, b) = (x.map { UInt16($0.bitPattern >> 16) }, w.map { UInt16($0.bitPattern >> 16) })
    var packed = [UInt16](repeating: 0, count: (n + 15) / 16 * ((k + 1) / 2) * 32)
    halftone_pack_bf16(b, n, k, &packed)
    var out = [Float](repeating: 0, count: m * n)
    var (ours, theirs, floats): ([Double], [Double], [Double]) = ([], [], [])
    openblas_set_num_threads(Int32(threads))
    for _ in 0..<repetitions {
      ours.append(product(a, packed, &out))
      var times = [0.0, 0.0, 0.0]
      if onednn_bf16_times(a, b, &out, m, n, k, &times, 3) == 0 { theirs.append(median(times)) }
      floats.append(
        seconds {
          cblas_sgemm(
            Int32(CblasRowMajor), Int32(CblasNoTrans),
            Int32(CblasTrans), Int32(m), Int32(n), Int32(k), 1, x, Int32(k), w, Int32(k),
            0, &out, Int32(n))
        })
    }
    func speed(_ times: [Double]) -> String {
      if times.isEmpty { return "absent" }
      return String(format: "%.0f", 2 * Double(m) * Double(n) * Double(k) / median(times) * 1e-9)
    }
    print(
      padded("  \(m)×\(n)×\(k)", 20), "ours \(speed(ours)), oneDNN \(speed(theirs)),",
      "OpenBLAS sgemm \(speed(floats))")
  }

  private func product(_ a: [UInt16], _ packed: [UInt16], _ out: inout [Float]) -> Double {
    let kernels = halftone_attention_best().pointee
    let panels = (n + 15) / 16
    // Three panels at a time fill the registers.
    let parts = (panels + 11) / 12
    return out.withUnsafeMutableBufferPointer { out in
      a.withUnsafeBufferPointer { a in
        packed.withUnsafeBufferPointer { packed in
          seconds {
            inParallel(parts) { part in
              let first = 12 * part
              kernels.bf16_product(
                a.baseAddress, k, m, packed.baseAddress, n, k, first, min(12, panels - first),
                out.baseAddress, n, 0)
            }
          }
        }
      }
    }
  }
}
