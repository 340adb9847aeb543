package import Foundation

/// The result of one run of the built `decant`.
package struct DecantRun: Sendable {
  package let status: Int32
  package let output: String
  package let errors: String
  /// True when a signal ended the run.
  package let wasKilled: Bool
}

/// Runs the tool: the path in the environment variable DECANT, or the binary built with the tests.
package enum DecantProcess {
  package static let binary: URL = {
    if let path = ProcessInfo.processInfo.environment["DECANT"] { return URL(filePath: path) }
    return URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "decant")
  }()

  /// The sample program that is built with the tests.
  package static let sample = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
    .appending(path: "Sample")

  /// Runs the tool and waits for its end.
  package static func run(
    _ arguments: [String], in folder: URL? = nil, environment: [String: String] = [:]
  ) throws -> DecantRun {
    try run(binary, arguments, in: folder, environment: environment)
  }

  /// Runs a shell command line in which `decant` is the built tool.
  package static func shell(_ line: String, in folder: URL? = nil) throws -> DecantRun {
    let path =
      binary.deletingLastPathComponent().path + ":" + (ProcessInfo.processInfo.environment["PATH"] ?? "")
    return try run(URL(filePath: "/bin/sh"), ["-c", line], in: folder, environment: ["PATH": path])
  }

  private static func run(
    _ executable: URL, _ arguments: [String], in folder: URL?, environment: [String: String]
  ) throws -> DecantRun {
    let process = Process()
    process.executableURL = executable
    process.arguments = arguments
    if let folder { process.currentDirectoryURL = folder }
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    let scratch = try TemporaryFolder()
    // Files instead of pipes, which a run with much output would fill and then wait for a reader.
    for name in ["output", "errors"] { _ = try scratch.write(name, []) }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try FileHandle(forWritingTo: URL(filePath: scratch.path("output")))
    process.standardError = try FileHandle(forWritingTo: URL(filePath: scratch.path("errors")))
    try process.run()
    process.waitUntilExit()
    func text(_ name: String) throws -> String {
      String(decoding: try Data(contentsOf: URL(filePath: scratch.path(name))), as: UTF8.self)
    }
    return DecantRun(
      status: process.terminationStatus, output: try text("output"), errors: try text("errors"),
      wasKilled: process.terminationReason == .uncaughtSignal)
  }
}
