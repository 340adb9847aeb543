import DecantCheckpoints
import DecantTensors
import Foundation
import TestSupport
import Testing

/// `decant run` on pictures, with a network of ten classes and a network of one class.
@Suite struct RunPictureTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func decant(_ line: String) throws -> DecantRun {
    try DecantProcess.shell(line.replacing("OUT/", with: folder.url.path + "/"), in: Fixtures.root)
  }

  private func run(_ options: String) throws -> DecantRun {
    try decant("decant run fixtures/torch/small_basic.pth " + options)
  }

  private func report(_ options: String) throws -> [String: Any] {
    let run = try run(options + " --json")
    #expect(run.status == 0, "\(run.errors)")
    return try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
  }

  @Test func everythingThatWasDoneIsSaid() throws {
    let run = try run("--input fixtures/pictures/photo.jpg --preprocess imagenet-eval --top 1")
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.output.contains("input 1×3×224×224 with imagenet-eval: resize to 256"))
    #expect(run.output.contains("(JPEG of 48×36; orientation 6, turned right by 90°; to 224×224)"))
    let report = try report("--input fixtures/pictures/photo.jpg --preprocess imagenet-raw")
    #expect(report["preprocessing"] as? String == "imagenet-raw")
    #expect(report["input_shape"] as? [Int] == [1, 3, 48, 36])
    let image = try #require((report["images"] as? [[String: Any]])?.first)
    #expect(image["size_before"] as? [String: Int] == ["height": 36, "width": 48])
    #expect(image["size_after"] as? [String: Int] == ["height": 48, "width": 36])
    #expect((image["orientation"] as? [String: Any])?["applied"] as? Bool == true)
    let stored = try self.run(
      "--input fixtures/pictures/photo.jpg --preprocess imagenet-raw --ignore-orientation")
    #expect(stored.output.contains("input 1×3×36×48") && stored.output.contains("orientation 6, not applied"))
  }

  @Test func aFolderIsABatch() throws {
    let report = try report(
      "--input fixtures/pictures --preprocess imagenet-eval --output OUT/all.npy --top 2")
    let images = try #require(report["images"] as? [[String: Any]])
    let names = images.compactMap {
      ($0["file"] as? String).map { String($0.split(separator: "/").last ?? "") }
    }
    #expect(
      names == [
        "bits.png", "colours.png", "deep.png", "grey.jpg", "inks.jpg", "palette.png", "photo.jpg",
        "progressive.jpg",
      ])
    #expect(report["input_shape"] as? [Int] == [8, 3, 224, 224])
    let all = try NpyArray.read(path: folder.path("all.npy"))
    #expect(all.shape == [8, 10])
    // In batches of three, three and two.
    _ = try self.report(
      "--input fixtures/pictures --preprocess imagenet-eval --output OUT/batch.npy --batch 3")
    let batched = try NpyArray.read(path: folder.path("batch.npy")).elements(as: Float.self)
    #expect(
      try zip(batched, all.elements(as: Float.self)).allSatisfy { abs($0 - $1) < 1e-5 } && batched.count == 80
    )
    // A picture's logits equal those of a run on that picture alone, and those in the JSON.
    _ = try self.report("--input fixtures/pictures/inks.jpg --preprocess imagenet-eval --output OUT/one.npy")
    let one = try NpyArray.read(path: folder.path("one.npy")).elements(as: Float.self)
    #expect(try Array(all.elements(as: Float.self)[40..<50]) == one)
    #expect((report["logits"] as? [[Double]])?[4].map { Float($0) } == one)
    let top = try #require(images[4]["top"] as? [[String: Any]])
    let largest = try #require(one.indices.max { one[$0] < one[$1] })
    #expect(top.count == 2 && top[0]["class"] as? Int == largest)
    let sum = one.reduce(0) { $0 + exp(Double($1)) }
    let probability = try #require(top[0]["probability"] as? Double)
    #expect(abs(probability - exp(Double(one[largest])) / sum) < 1e-12)
  }

  @Test func labelsNameClassesAndAreEscaped() throws {
    let names = (0..<10).map { "name \($0) \u{1B}[31m" }
    _ = try folder.write("labels.txt", Array(names.joined(separator: "\r\n").utf8))
    let options = "--input fixtures/pictures/grey.jpg --preprocess imagenet-eval --labels OUT/labels.txt"
    let run = try run(options)
    #expect(run.status == 0 && !run.output.contains("\u{1B}"))
    #expect(run.output.contains(#"name 3 \x1b[31m"#))
    _ = try folder.write("few.txt", Array("one\ntwo\n".utf8))
    let few = try self.run(options.replacing("labels.txt", with: "few.txt") + " --json")
    let error = try JSONError(few.output)
    #expect(few.status == 2 && error.code == "invalidInput" && error.file?.hasSuffix("few.txt") == true)
  }

  @Test func oneOutputIsALogitAndAProbability() throws {
    let run = try decant(
      "decant run fixtures/torch/small_nodown.pth --stride0 1 --tile --input fixtures/pictures/photo.jpg --preprocess imagenet-raw"
    )
    #expect(run.status == 0, "\(run.errors)")
    let match = try #require(
      run.output.firstMatch(of: /photo\.jpg: logit (-?\d+\.\d+), probability (0\.\d{6})/))
    let logit = try #require(Double(match.1))
    #expect(abs(1 / (1 + exp(-logit)) - (Double(match.2) ?? 0)) < 1e-6)
  }

  @Test func numbersComeFromSafetensorsToo() throws {
    _ = try run(
      "--input fixtures/pictures/bits.png --preprocess imagenet-raw --stage input --output OUT/x.npy")
    #expect(try decant("decant convert OUT/x.npy OUT/x.safetensors").status == 0)
    let numbers = try report("--input OUT/x.npy")["logits"] as? [[Double]]
    #expect(try report("--input OUT/x.safetensors")["logits"] as? [[Double]] == numbers)
    #expect(
      try report("--input fixtures/pictures/bits.png --preprocess imagenet-raw")["logits"] as? [[Double]]
        == numbers)
    let golden = "fixtures/goldens/small_basic.safetensors"
    let several = try run("--input \(golden) --json")
    let error = try JSONError(several.output)
    #expect(
      several.status == 2 && error.code == "invalidInput" && error.remedy?.contains("--input-key ") == true)
    #expect(try run("--input \(golden) --input-key input").status == 0)
    #expect(
      try JSONError(run("--input \(golden) --input-key no --json").output).code == "tensorNotFound")
    let weights = try run("--input fixtures/torch/small_basic.pth --json")
    #expect(try weights.status == 2 && JSONError(weights.output).code == "invalidInput")
  }

  @Test(arguments: [
    ("--input fixtures/pictures/photo.jpg", "invalidArgument"),
    ("--input fixtures/pictures/photo.jpg --preprocess none", "invalidArgument"),
    ("--input fixtures/inputs/input_97x131.npy --preprocess imagenet-eval", "invalidArgument"),
    ("--input fixtures/pickles --preprocess imagenet-raw", "invalidInput"),
    ("--input nowhere.png --preprocess imagenet-raw", "fileNotFound"),
    ("--input fixtures/pictures --preprocess imagenet-raw --stage layer1 --output OUT/y.npy", "invalidInput"),
    ("--input fixtures/pictures --preprocess imagenet-eval --stages OUT/s.safetensors", "invalidArgument"),
    (
      "--input fixtures/pictures/photo.jpg --preprocess imagenet-raw --limit imagePixels=1000",
      "limitExceeded"
    ),
  ])
  func requestsThatCannotBeServed(_ options: String, _ code: String) throws {
    let run = try run(options + " --json")
    #expect(try run.status == 2 && JSONError(run.output).has(code), "\(run.output)")
    #expect(folder.names.isEmpty)
  }

  @Test func aDamagedPictureDoesNotStopTheOthers() throws {
    let photo = try Fixtures.bytes("pictures/photo.jpg")
    for name in ["a.jpg", "c.jpg"] { _ = try folder.write(name, photo) }
    _ = try folder.write("b.jpg", Array(photo.dropLast(100)))
    let run = try run("--input OUT/ --preprocess imagenet-eval --output OUT/y.npy")
    #expect(run.status == 2 && run.errors.contains("b.jpg, offset "))
    #expect(run.output.contains("a.jpg:") && run.output.contains("c.jpg:") && !run.output.contains("b.jpg"))
    #expect(run.output.hasSuffix("\n2 run, 1 failed\n"))
    #expect(folder.names == ["a.jpg", "b.jpg", "c.jpg"])
  }
}
