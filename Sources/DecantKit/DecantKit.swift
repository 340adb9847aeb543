// The library: one import. Where to start in each module:
//
// DecantBytes   DecantError, Limits, JSONValue
// DecantTensors       Tensor, DType, StateDict
// DecantCheckpoints   Checkpoint, writing in other formats
// DecantResNets       architectures, identification, verification
// DecantImages        Preprocessing
// DecantInference     Numerics
// DecantNetworks      ResNet, ImageTensor: a file as a network that runs
// DecantComparing     StateDict.diff
// DecantScanning      what loading a file would execute
@_exported public import DecantBytes
@_exported public import DecantCheckpoints
@_exported public import DecantComparing
@_exported public import DecantConversion
@_exported public import DecantImages
@_exported public import DecantInference
@_exported public import DecantNetworks
@_exported public import DecantResNets
@_exported public import DecantScanning
@_exported public import DecantTensors
