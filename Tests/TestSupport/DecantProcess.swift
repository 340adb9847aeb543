internal import CTestLibraries
package import Foundation
import Testing

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

  /// Runs the tool on a terminal of a size, which receives standard output and standard error, and waits for its end.
  ///
  /// - Parameters:
  ///   - errorsToFile: true when only standard output is the terminal.
  ///   - environment: variables to set. Those that change the presentation are removed before.
  /// - Returns: the run, with all that the terminal received as output.
  package static func terminal(
    _ arguments: [String], columns: Int = 80, rows: Int = 1000, in folder: URL? = nil,
    errorsToFile: Bool = false, environment: [String: String] = [:]
  ) throws -> DecantRun {
    var (screen, terminal): (Int32, Int32) = (-1, -1)
    try #require(unsafe ctest_open_terminal(Int32(columns), Int32(rows), &screen, &terminal))
    let process = Process()
    process.executableURL = binary
    process.arguments = arguments
    if let folder { process.currentDirectoryURL = folder }
    let names = ["NO_COLOR", "CLICOLOR_FORCE", "PAGER", "DECANT_PAGER", "LESS", "COLUMNS", "LINES"]
    process.environment = ProcessInfo.processInfo.environment.filter { !names.contains($0.key) }
      .merging(["TERM": "xterm"]) { $1 }.merging(environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    let side = FileHandle(fileDescriptor: terminal, closeOnDealloc: true)
    process.standardOutput = side
    let scratch = try TemporaryFolder()
    let errors = URL(filePath: try scratch.write("errors", []))
    process.standardError = errorsToFile ? try FileHandle(forWritingTo: errors) : side
    try process.run()
    try side.close()
    // The terminal holds a few kilobytes, so it is read while the tool runs. At its end the read fails.
    defer { close(screen) }
    var received: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = unsafe read(screen, &block, block.count)
      guard count > 0 else { break }
      received += block[..<count]
    }
    process.waitUntilExit()
    return DecantRun(
      status: process.terminationStatus, output: String(decoding: received, as: UTF8.self),
      errors: String(decoding: try Data(contentsOf: errors), as: UTF8.self),
      wasKilled: process.terminationReason == .uncaughtSignal)
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
