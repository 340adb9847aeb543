import Foundation

// Typical uses of the library. The first part equals README.md word for word and runs in a folder with
// resnet50nodown.pth and photo.jpg.
// README BEGIN
import DecantKit

let checkpoint = try Checkpoint(path: "resnet50nodown.pth")  // or Checkpoint(bytes) from memory
let weights = try checkpoint.stateDict(at: "model")  // ordered names -> tensors, lazy
for (name, tensor) in weights { print(name, tensor.dtype, tensor.shape) }

try weights.write(to: "nodown.safetensors")  // any format, options as values

let network = try ResNet(.resnet50nodown, weights: weights)  // throws one error that lists every mismatch
let image = try ImageTensor(path: "photo.jpg", preprocessing: .imagenetEval)
let logits = try network(image)  // any task may call it
// README END
print("logits", logits.shape, logits.values)

do { try await Jobs(checkpoint, weights, network, image).run() } catch {
  print("failed:", error)
  exit(1)
}
