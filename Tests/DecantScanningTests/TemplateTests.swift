import DecantScanning
import TestSupport
import Testing

/// GGUF files: their templates, and files that are damaged.
@Suite struct TemplateTests {
  private static let template = "tokenizer.chat_template"

  private static func text(_ text: String) -> [UInt8] {
    ZipBuilder.little(UInt64(text.utf8.count)) + Array(text.utf8)
  }

  /// Returns a GGUF file with texts, an array of tokens, and one tensor of four floats.
  static func gguf(_ values: [(String, String)], tokens: [String] = [], version: UInt32 = 3)
    -> [UInt8]
  {
    var file = Array("GGUF".utf8) + ZipBuilder.little(version) + ZipBuilder.little(UInt64(1))
    file += ZipBuilder.little(UInt64(values.count + 1))
    for (key, value) in values { file += text(key) + ZipBuilder.little(UInt32(8)) + text(value) }
    file += text("tokenizer.ggml.tokens") + ZipBuilder.little(UInt32(9)) + ZipBuilder.little(UInt32(8))
    file += ZipBuilder.little(UInt64(tokens.count)) + tokens.flatMap { text($0) }
    file += text("w") + ZipBuilder.little(UInt32(1)) + ZipBuilder.little(UInt64(4))
    file += ZipBuilder.little(UInt32(0)) + ZipBuilder.little(UInt64(0))
    file += [UInt8](repeating: 0, count: (32 - file.count % 32) % 32)
    return file + [UInt8](repeating: 0x3F, count: 16) + [UInt8](repeating: 0, count: 16)
  }

  private func scan(_ bytes: [UInt8]) -> FileScan { CheckpointScanner().scan(bytes, named: "a.gguf") }

  private func scan(template: String) -> FileScan { scan(Self.gguf([(Self.template, template)])) }

  @Test(arguments: [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}", "{{ x['__class__'] }}", "{{ x['\\x5f\\x5fclass__'] }}",
    "{{ x['\\137_class__'] }}", "{{ x['\\N{LOW LINE}_class__'] }}", "{{ x['__cl' ~ 'ass__'] }}",
    "{{ x['__cl' + 'ass__'] }}", "{{ x['__cl' 'ass__'] }}", "{{ x|attr('__class__') }}",
    "{{ x | attr('\\x5f_class__') }}", "{{ [x]|map('attr', 'a')|list }}",
    "{{ [x]|map(attribute='__class__')|list }}", "{{ [x]|groupby('__class__') }}",
    "{% set a = '__cl' %}{% set b = a ~ 'ass__' %}{{ x[b] }}",
    "{% for k in ['__class__'] %}{{ x[k] }}{% endfor %}",
    "{% macro m(k) %}{{ x[k] }}{% endmacro %}{{ m('__class__') }}",
    "{% set n = namespace(k='a') %}{% set n.k = '__class__' %}{{ x[n.k] }}",
    "{% set k %}__class__{% endset %}{{ x[k] }}", "{{ x['%c%c'|format(95, 95)] }}",
    "{{ x[['_', '_']|join] }}",
    "{{ x['CLASS'|lower] }}", "{{ x['ssalc'[::-1]] }}", "{{ '{0.__class__}'.format(x) }}",
    "{{ x.gi_frame.f_builtins }}", "{#{{#}{{ x.__class__ }}", "{% raw %}{% endraw -%}{{ x.__class__ }}",
    "{{ x\u{a0}.\u{2003}__class__ }}", "{{ {'a': '}}'}.__class__ }}", "{{ x[1].0.__class__ }}",
    "{% if x.__class__ %}{% endif %}", "{% set l = [] %}{% set _ = l.append('__class__') %}{{ x[l[0]] }}",
  ])
  func reachesInternals(_ template: String) {
    #expect(scan(template: template).verdict == .dangerous)
    let far = String(repeating: "a", count: 2 << 20) + template
    let found = scan(template: far)
    #expect(found.verdict == .dangerous)
    #expect(found.findings.first.map { $0.offset > 2 << 20 } == true)
  }

  @Test(arguments: [
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] }}{% endfor %}",
    "{% set ns = namespace(i=-1, role='user') %}{% set ns.i = loop.index0 %}{{ messages[ns.i].content }}",
    "{% set types = {'string': 'str'} %}{{ types[p.type] }}{{ types[p['type']] }}",
    "{% macro f(d) %}{% for k, v in d|items %}{{ d[k] }}{{ f(v) }}{% endfor %}{% endmacro %}{{ f({'a': 1}) }}",
    "{{ '{:02d}'.format(1) }}{{ '%s' % x }}{{ param['format'] }}{{ text.split('a_b')[-1] }}",
    "{% set _args = call.arguments %}{{ _args['x'] }}{# __class__ #}{% raw %}{{ x.__class__ }}{% endraw %}",
    "Use eval( and exec( and import os and <script>. {{ messages[1:]|length }}", "{{ '__class__' }}",
    "{{ messages|selectattr('role', 'equalto', '__user__')|list }}",
  ])
  func isHonest(_ template: String) {
    #expect(scan(template: template).verdict == .clean)
  }

  @Test(arguments: [
    "{{ x", "{% if %}", "{{ x[ }}", "{% unknown %}", "{{ 'a }}", "{{ x }}{# a", "{{ x[a ~ b] }}",
    "{{ x|attr(y) }}",
    "{% include 'a' %}", "{{ x[y|string] }}", "{{ x.format(y) }}",
  ])
  func isUnknown(_ template: String) {
    #expect(scan(template: template).verdict == .unknown)
  }

  @Test func deepTemplates() {
    let nested = String(repeating: "(", count: 10_000)
    #expect(scan(template: "{{ \(nested)x").verdict == .unknown)
    let chain = (0..<50).reversed().map { "{% set v\($0 + 1) = v\($0) %}" }.joined()
    #expect(scan(template: chain + "{{ x[v50] }}{% set v0 = '__class__' %}").verdict != .clean)
  }

  @Test func vocabulariesAreNoScripts() {
    let tokens = ["eval(", "<script>", "{{ x.__class__ }}", "import os"]
    #expect(scan(Self.gguf([], tokens: tokens)).verdict == .clean)
    let found = scan(Self.gguf([("general.description", "see <script>alert(1)</script>")]))
    #expect(found.findings.map(\.rule) == [.metadataScript])
    let file = Self.gguf([("general.description", "see <script>")])
    #expect(scan(file).findings.first?.offset == file.firstRange(of: Array("<script>".utf8))?.lowerBound)
  }

  // MARK: - Damaged files

  private static let sound = gguf([("general.architecture", "llama")], tokens: ["a", "b"])

  private static func changed(_ offset: Int, to bytes: [UInt8]) -> [UInt8] {
    var file = sound
    file.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    return file
  }

  @Test func everyTruncationIsNoticed() {
    let sound = Self.sound
    #expect(scan(sound).verdict == .clean)
    for count in 4..<sound.count - 16 {
      let verdict = scan(Array(sound.prefix(count))).verdict
      #expect(verdict == .unreadable || verdict == .unknown, "\(count)")
    }
    // Only the padding of the last tensor may be missing.
    #expect(scan(Array(sound.dropLast(16))).verdict == .clean)
    #expect(scan(sound + [1]).verdict == .dangerous)
    #expect(scan(sound + [0]).verdict == .unknown)
  }

  @Test func damagedHeaders() {
    let huge = [UInt8](repeating: 0xFF, count: 8)
    #expect(scan(Self.changed(8, to: huge)).verdict == .unreadable)
    #expect(scan(Self.changed(16, to: huge)).verdict == .unreadable)
    #expect(scan(Self.changed(24, to: huge)).verdict == .unreadable)
    for version: UInt8 in [0, 1, 4, 9] {
      #expect(scan(Self.changed(4, to: [version])).verdict == .unreadable)
    }
    let tensor = Self.sound.count - 32
    let info = Self.sound[..<tensor].lastIndex(of: UInt8(ascii: "w")) ?? 0
    // The number of dimensions, a size, the type, and the offset of the tensor.
    #expect(scan(Self.changed(info + 1, to: [65])).verdict == .unreadable)
    #expect(scan(Self.changed(info + 5, to: [3])).verdict == .dangerous)
    #expect(scan(Self.changed(info + 5, to: [255])).verdict == .unknown)
    #expect(scan(Self.changed(info + 13, to: [99])).verdict == .unreadable)
    #expect(scan(Self.changed(info + 17, to: [1])).verdict == .unknown)
    #expect(scan(Self.changed(info + 17, to: [32])).verdict == .unknown)
    #expect(scan(Self.changed(tensor - 1, to: [1])).verdict == .unknown)
  }
}
