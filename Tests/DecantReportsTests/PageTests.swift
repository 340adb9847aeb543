import DecantBytes
import DecantCheckpoints
import DecantReports
import DecantTensors
import Foundation
import TestSupport
import Testing

@Suite struct PageTests {
  private static let files = [".pth", ".pkl", ".safetensors"].flatMap { suffix in
    Fixtures.names(in: "torch", endingIn: suffix).map { "torch/" + $0 }
  }

  private func report(_ path: String, reads: Bool = true) throws -> FileReport {
    var options = FileReport.Options()
    options.readsValues = reads
    return try FileReport(Checkpoint(path: path), options)
  }

  private func page(_ reports: FileReport...) -> String {
    ReportPage(reports, errorText: { $0.reason }).html.text
  }

  /// Every file that opens has a page whose structure is sound.
  @Test(arguments: files) func structure(name: String) throws {
    let path = Fixtures.path(name)
    guard (try? Checkpoint(path: path)) != nil else { return }
    let report = try report(path)
    let text = page(report)
    #expect(text == page(try self.report(path)), "the page differs from run to run")
    let reader = try MarkupReader(text)
    check(reader)
    #expect(reader.all("h1").map(\.text) == [String(name.split(separator: "/")[1])])
    let sections = reader.all("h2").map(\.text)
    #expect(sections.starts(with: ["Safety"]) && sections.last == "Tensors")
    #expect(sections.contains("Architecture") == (report.network?.diagram != nil))
    // One row for each tensor, in the file's order.
    let heads = reader.elements.filter { $0.name == "code" && $0.ancestors.suffix(2) == ["tr", "th"] }
    #expect(heads.count >= report.checkpoint.tensors.count)
    #expect(!text.contains("Markup("), "a piece of markup was taken for text")
    #expect(!text.contains("&lt;svg") && !text.contains("&lt;span") && !text.contains("&lt;code"))
  }

  /// Checks the rules that screen readers, links and the policy rely on.
  private func check(_ reader: MarkupReader) {
    let ids = reader.elements.compactMap { $0.attributes["id"] }
    #expect(Set(ids).count == ids.count, "ids occur twice")
    for element in reader.elements {
      for key in element.attributes["aria-labelledby"]?.split(separator: " ") ?? [] {
        #expect(ids.contains(String(key)), "\(key) labels nothing")
      }
      if let link = element.attributes["href"], link.hasPrefix("#") {
        #expect(ids.contains(String(link.dropFirst())), "\(link) leads nowhere")
      }
      #expect(element.attributes.keys.allSatisfy { !$0.hasPrefix("on") }, "\(element.name) has a handler")
      #expect(element.attributes["src"] == nil, "\(element.name) loads something")
    }
    let levels = reader.elements.compactMap { element in
      element.name.count == 2 && element.name.first == "h" ? element.name.last?.wholeNumberValue : nil
    }
    #expect(levels.first == 1 && levels.count { $0 == 1 } == 1)
    #expect(zip(levels, levels.dropFirst()).allSatisfy { $0.1 <= $0.0 + 1 }, "a heading skips a level")
    #expect(reader.all("script").count == 1)
    for (index, element) in reader.elements.enumerated() {
      let children = reader.elements.filter { $0.parent == index }.map(\.name)
      if element.name == "svg" {
        #expect(
          element.attributes["aria-hidden"] == "true" || children.starts(with: ["title", "desc"]),
          "a drawing has neither a title nor a description")
      }
      if element.name == "table" { #expect(children.starts(with: ["caption", "thead", "tbody"])) }
      if element.name == "th" { #expect(["row", "col"].contains(element.attributes["scope"])) }
    }
  }

  /// Names from a file never become markup, wherever they are shown.
  @Test func hostileNames() throws {
    let names = [
      "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "' onmouseover='alert(1)",
      "</style><script>alert(2)</script>", "--><!--", "&lt;b&gt;", "\u{202E}gnp.exe", "a\nb", "<b>.weight",
      "layer1.0.conv1.<i>",
    ]
    let folder = try TemporaryFolder()
    let first = try folder.write("<b>&\"'.safetensors", Self.safetensors(names))
    let second = try folder.write("plain.safetensors", Self.safetensors(["weight"]))
    let one = try report(first)
    for text in [page(one), page(one, try report(second))] {
      let reader = try MarkupReader(text)
      check(reader)
      #expect(reader.all("img").isEmpty && reader.all("b").isEmpty && reader.all("i").isEmpty)
      #expect(text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .format })
      #expect(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"))
      #expect(text.contains("\\u{202e}gnp.exe"))
    }
    #expect(page(one).contains("<title>&lt;b&gt;&amp;&quot;&#39;.safetensors – checkpoint report</title>"))
  }

  /// Returns a file with one float32 tensor of each name.
  private static func safetensors(
    _ names: [String], values: [Float] = [1, 2], shape: [Int]? = nil
  ) throws -> [UInt8] {
    let shape = shape ?? [values.count]
    let size = 4 * values.count
    let members = names.enumerated().map { index, name -> (key: String, value: JSONValue) in
      (
        key: name,
        value: .object([
          (key: "dtype", value: "F32"), (key: "shape", value: .array(shape.map { .integer(Int64($0)) })),
          (
            key: "data_offsets",
            value: .array([.integer(Int64(index * size)), .integer(Int64((index + 1) * size))])
          ),
        ])
      )
    }
    let header = Array(JSONValue.object(members).text.utf8)
    let length = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) }
    let data = values.withUnsafeBytes { Array($0) }
    return length + header + (0..<names.count).flatMap { _ in data }
  }

  @Test func severalFiles() throws {
    let reports = try ["torch/small_basic.pth", "torch/small_nodown.pth", "torch/views.pth"].map {
      try report(Fixtures.path($0))
    }
    let text = ReportPage(reports, errorText: { $0.reason }).html.text
    let reader = try MarkupReader(text)
    check(reader)
    #expect(reader.all("h1").map(\.text) == ["3 checkpoints"])
    #expect(
      reader.all("h2").map(\.text) == [
        "Side by side", "A: small_basic.pth", "B: small_nodown.pth", "C: views.pth",
      ])
  }

  @Test func valuesAreOptional() throws {
    let text = page(try report(Fixtures.path("torch/small_basic.pth"), reads: false))
    #expect(text.contains("Values were not read."))
    #expect(text.contains("Values and checksums were not read"))
    #expect(!text.contains(">Histogram<"))
  }

  @Test func damageIsShown() throws {
    let folder = try TemporaryFolder()
    var bytes = try Fixtures.bytes("torch/small_basic.pth")
    // The first weight's data, in which any other byte is another number.
    let data = try #require(bytes.firstRange(of: Array("data/0".utf8))).upperBound + 200
    bytes[data] ^= 0x40
    let text = page(try report(try folder.write("damaged.pth", bytes)))
    #expect(text.contains("<span class=\"bad\">damaged</span>"))
    #expect(text.contains("CRC-32 mismatch"))
    #expect(text.contains("<span class=\"badge bad\">No</span>"))
  }

  @Test func deadAndNonFiniteValuesAreMarked() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("odd.safetensors", Self.safetensors(["a"], values: [.nan, .infinity, 0, 1]))
    let text = page(try report(path))
    #expect(text.contains("<strong class=\"bad\">1 NaN</strong>, <strong class=\"bad\">1 infinite</strong>"))
    #expect(text.contains("1 tensor holds NaN or infinity."))
    let dead = try folder.write(
      "dead.safetensors", Self.safetensors(["w"], values: [0, 0, 1, 0, 0, 0], shape: [3, 2]))
    let marked = page(try report(dead))
    #expect(marked.contains("<span class=\"warm\">2 of 3 channels are zero: 0, 2</span>"))
    #expect(marked.contains("1 tensor has dead channels"))
  }

  /// The page's policy allows one script: this one.
  @Test func scriptDigest() throws {
    let text = page(try report(Fixtures.path("torch/small_basic.pth"), reads: false))
    let reader = try MarkupReader(text)
    let bytes = Array(try #require(reader.all("script").first).text.utf8)
    let digest = try Self.sha256(bytes)
    let policy = try #require(
      reader.all("meta").first { $0.attributes["http-equiv"] == "Content-Security-Policy" })
    #expect(policy.attributes["content"]?.contains("script-src 'sha256-\(digest)'") == true)
  }

  /// Returns a SHA-256 in base64, computed by coreutils.
  private static func sha256(_ bytes: [UInt8]) throws -> String {
    let folder = try TemporaryFolder()
    let path = try folder.write("script.js", bytes)
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/sha256sum")
    process.arguments = [path]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    let hex = output.prefix(64)
    let data = stride(from: 0, to: 64, by: 2).map { index in
      UInt8(hex.dropFirst(index).prefix(2), radix: 16) ?? 0
    }
    return Data(data).base64EncodedString()
  }
}
