internal import DecantBytes
internal import DecantResNets

/// The tables of `decant identify --dialects` and `decant identify --architectures`.
enum CatalogueReport {
  static func printDialects(json: Bool) {
    if json {
      return StandardStreams.document(
        .object([
          (key: "schema", value: 1),
          (
            key: "dialects",
            value: .array(
              ResNetDialect.all.map { dialect in
                .object([
                  (key: "name", value: .string(dialect.name)),
                  (key: "summary", value: .string(dialect.summary)),
                  (
                    key: "names",
                    value: .array(
                      dialect.rows.map { row in
                        .object([
                          (key: "here", value: .string(row.canonical)),
                          (key: "there", value: .string(row.spelled)),
                        ])
                      })
                  ),
                ])
              })
          ),
        ]))
    }
    for dialect in ResNetDialect.all {
      StandardStreams.line("\(dialect.name): \(dialect.summary)")
      var table = TextTable([("here", .left), ("there", .left)])
      for row in dialect.rows { table.row(row.canonical, row.spelled) }
      table.show()
      StandardStreams.line()
    }
  }

  static func printArchitectures(json: Bool) {
    if json {
      return StandardStreams.document(
        .object([
          (key: "schema", value: 1),
          (
            key: "architectures",
            value: .array(
              ResNetArchitecture.all.map { architecture in
                let configuration = architecture.configuration
                return .object([
                  (key: "name", value: .string(architecture.name)),
                  (key: "block", value: .string(configuration.block.rawValue)),
                  (key: "layers", value: .array(configuration.layers.map { .exact(Int64($0)) })),
                  (key: "depth", value: .exact(Int64(configuration.depth))),
                ])
              })
          ),
        ]))
    }
    var table = TextTable([("name", .left), ("block", .left), ("layers", .left), ("depth", .right)])
    for architecture in ResNetArchitecture.all {
      let configuration = architecture.configuration
      table.row(
        architecture.name, configuration.block.rawValue,
        configuration.layers.map(String.init).joined(separator: ", "), String(configuration.depth))
    }
    table.show()
  }
}
