"""What peers say of the values in their fixtures that are no tensors, and of the files they refuse: facts only."""

import re

SERDE = "birkenfeld+serde-pickle/"
BURN = "tracel-ai+burn/crates/burn-store/"
TCH = "LaurentMazare+tch-rs/tests/"
SCANS = "mmaitre314+picklescan/tests/"
ZIPS = "weichsel+ZIPFoundation/Tests/ZIPFoundationTests/Resources/test"

CONFIG = {
    "n_head": 2, "n_layer": 3, "d_model": 512, "some_float": 0.1, "some_int": 1, "some_bool": True, "some_str": "hello",
    "some_list_int.0": 1, "some_list_int.1": 2, "some_list_int.2": 3, "some_list_str.0": "hello",
    "some_list_str.1": "world", "some_list_float.0": 0.1, "some_list_float.1": 0.2, "some_list_float.2": 0.3,
    "some_dict.some_key": "some_value",
}  # fmt: skip

# Every value of a file that is no tensor, by its path.
VALUES = {
    **{f"elixir-nx+bumblebee/test/fixtures/pytorch/ordered_dict.{kind}.pt": {"x": 1, "y": 2}
       for kind in ["zip", "legacy"]},
    **{f"{SCANS}data/benign0_v{protocol}.pkl": {"0": "a", "1": "b", "2": "c"} for protocol in [0, 3, 4]},
    BURN + "src/pytorch/tests/reader/test_data/checkpoint.pt": {"epoch": 42, "loss": 0.123},
    BURN + "src/pytorch/tests/reader/test_data/complex_structure.pt": {
        "metadata.version": 1, "metadata.name": "test_model", "config.hidden_size": 4, "config.num_layers": 2,
    },
    BURN + "pytorch-tests/tests/config/weights_with_config.pt": {
        "my_config." + name: value for name, value in CONFIG.items()
    },
}  # fmt: skip

# Objects that are listed by their type: each fact is a part of one entry. What a peer says beyond it is not listed.
ENTRIES = {
    "elixir-nx+bumblebee/test/fixtures/pytorch/storage_view.legacy.pt": [
        {"path": "0", "type": "torch.FloatStorage"}, {"path": "1", "type": "torch.FloatStorage"},
    ],
    **{f"{SCANS}data2/object_arrays{kind}.npz": [{"path": name, "type": "numpy.ndarray", "shape": [3]} for name in "ab"]
       for kind in ["", "_compressed"]},
    f"{SCANS}data2/object_array.npy": [{"path": "", "type": "numpy.ndarray", "shape": [2, 2]}],
    **{f"{SERDE}benches/data/{name}.pickle": [{"path": "", "type": "list", "count": 10000}]
       for name in ["biglist", "manystrings"]},
    f"{SERDE}benches/data/manyrefs.pickle": [
        {"path": f"{outer}.{inner}", "type": "int", "value": inner + 1} for outer in [0, 9999] for inner in range(5)
    ],
    **{f"{SERDE}test/data/test_recursive_proto{protocol}.pickle": [
        {"path": "0.0.0", "type": "reference to a container that holds it"}] for protocol in range(6)},
    f"{SERDE}test/data/test_unresolvable_global.pickle": [{"path": "", "type": "__main__.ReduceClass"}],
    **{f"{TCH}foo{number}.pt": [{"path": "", "type": f"__torch__.{name}"}] for number, name in {
        "": "Foo", 1: "Foo1", 2: "Foo2", 3: "Foo3", 5: "Foo5", 7: "TorchScriptExample", 8: "DictExample",
    }.items()},
    # The oldest format has no classes.
    **{f"{TCH}foo{version}.pt": [] for version in [
        "@hist-2be389b", "@hist-ac2e027", "1@hist-f37ef57", "2@hist-4a86798", "3@hist-f9563d0"]},
    TCH + "foo6.pt": [{"path": "", "type": "__torch__.PlaceholderModule"}],
    **{f"{TCH}foo4{version}.pt": [
        {"path": "", "type": "__torch__.Foo4"}, {"path": "training", "value": True},
        {"path": "_is_full_backward_hook", "value": None}] for version in ["", "@hist-ea3607e"]},
    TCH + "foo4@hist-c6eb371.pt": [{"path": "", "type": "__torch__.Foo4"}],
    TCH + "foo9.pt": [{"path": "embedding_length"}, {"path": "max_distance"}],
}  # fmt: skip

# How many objects of a type there are: tinygrad counts the packets of six traces.
COUNTED = {
    "tinygrad+tinygrad/extra/sqtt/examples/gfx1100/profile_empty_run_0.pkl": (
        "tinygrad.runtime.ops_amd.ProfileSQTTEvent", 6
    ),
}  # fmt: skip

# What is refused, and a part of the message: peers say so themselves, or, where an archive is sound, that it can be
# opened and what it holds; no checkpoint is among that.
SOUND = "is a zip archive without a data.pkl"
REFUSED = {
    BURN + "src/pytorch/tests/reader/test_data/broken.pt": "",
    **{f"{ZIPS}{name}.zip": text for name, text in {
        "AddDirectoryToArchiveWithZIP64LFHOffset": SOUND,
        "ArchiveIteratorErrorConditions": SOUND,
        "ArchiveReadErrorConditions": "the entry is stored without compression, but has two sizes",
        "DetectEntryType": "(it holds META-INF/, META-INF/container.xml…)",
        "EntryIsCompressed": "(it holds uncompressed, compressed…)",
        "ExtractCompressedDataDescriptorArchive": SOUND,
        "ExtractCompressedEntryCancelation": "(it holds random…)",
        "ExtractCompressedZIP64Entries": "(it holds testExtractCompressedZIP64Entries.png…)",
        "ExtractEncryptedArchiveErrorConditions": "the entry is encrypted",
        "ExtractEntryWithZIP64DataDescriptor": "(it holds simple.data…)",
        "ExtractErrorConditions": "(it holds testZipItem.png, testZipItemLink…)",
        "ExtractInvalidBufferSizeErrorConditions": "(it holds text.txt…)",
        "ExtractPreferredEncoding": "data/Benoît.txt",
        "ExtractUncompressedDataDescriptorArchive": SOUND,
        "ExtractUncompressedZIP64Entries": "(it holds testExtractUncompressedZIP64Entries.png…)",
        "PathDelimiterTraversalAttack": "(it holds /../",
        "ProgressHelpers": SOUND,
        "SimpleTraversalAttack": "(it holds ../",
        "UnzipUncontainedSymlink": SOUND,
        "UpdateArchiveRemoveUncompressedEntryFromMemory": "original",
        "ZIP64ArchiveAddEntryProgress": SOUND,
    }.items()},
}  # fmt: skip

# Archives that the peer opens; PyTorch's own reader refuses them, which a test asks it.
STRICTER = {
    # A folder's entry says it has 68 bytes and stores none.
    **dict.fromkeys(
        [ZIPS + "ArchiveAddCompressedEntryProgress.zip", ZIPS + "CRC32Check.zip",
         ZIPS + "InvalidCompressionMethodErrorConditions.zip"],
        "has two sizes: 68 and 0 bytes",
    ),
    # It takes the first entry, and the directory breaks off after it.
    ZIPS + "CorruptSymbolicLinkErrorConditions.zip": "the central directory is damaged",
}  # fmt: skip

# Files of which no peer says anything that an inspection could show.
UNSTATED = {
    "elixir-nx+bumblebee/test/fixtures/inputs/whisper/*": "only what a model computes from them is stated",
    "huggingface+candle/candle-core/config@*": "no test reads it",
    "mmaitre314+picklescan/tests/data/benign_password_protected.zip": "no test names it",
    "mmaitre314+picklescan/tests/data2/GHSA-9m3x-qqw2-h32h@*": "no test of its time names it",
    "tinygrad+tinygrad/extra/sqtt/examples/gfx950/*": "the counts are stated of another device's traces",
    "tracel-ai+burn/crates/burn-store/pytorch-tests/tests/debug_test.pt": "no test reads it",
    "tracel-ai+burn/crates/burn-store/pytorch-tests/tests/test_int.pt": "no test reads it",
}

# The versions of serde-pickle's test object, by commit: the integer key, and what was added to it.
VERSIONS = {
    "5ff572c": (10, set()),
    "1acd886": (10, set()),
    "5f5371e": (10, {"class"}),
    "82ed44c": (10, {"class", "bytearray"}),
    "2a7148f": (10, {"class", "bytearray"}),
    "17268b5": (10, {"class", "bytearray", "tuples"}),
    "af29620": (1000, {"class", "bytearray", "tuples", "enums"}),
}


def serde(path: str, commit: str) -> tuple[dict, list[str]] | None:
    """The entries of serde-pickle's test object, by path, and literals of calls, whose arguments are not listed."""
    match = re.search(r"/tests_py([23])_proto(\d)", path)
    if not match or not path.startswith(SERDE):
        return None
    python, protocol = map(int, match.groups())
    key, added = VERSIONS[commit[:7]]
    wide = "100000000000000000000"
    entries = {
        "None": ("NoneType", None), "False.0": ("bool", False), "False.1": ("bool", True),
        str(key): ("int", 100000), wide: ("int", wide), "1.0": ("float", 1.0),
        "bytes": ("str", "bytes") if python == 2 else ("bytes", 5), "string": ("str", "string"),
        "(1, 2).0": ("int", 1), "(1, 2).1": ("int", 2), "(1, 2).2": ("int", 3),
        "frozenset({0, 42}).0": ("int", 0), "frozenset({0, 42}).1": ("int", 42),
        "().0.0": ("int", 1), "().0.1": ("int", 2), "().0.2": ("int", 3),
        "().1.0": ("int", 0), "().1.1": ("int", 42), "().2": ("dict", 0),
    }  # fmt: skip
    literals = []
    if "bytearray" in added:
        entries["().3"] = ("bytearray", 4)
    if "class" in added:
        entries |= {"7": ("__main__.Class", None), "7.attr": ("int", 5)}
    if python == 3 and "tuples" in added:
        entries |= {"8": ("__main__.NamedTuple", None), "9": ("__main__.DataClass", None)}
        entries |= {"9.type": ("str", "abcd"), "9.quantity": ("int", 100)}
        if protocol < 2:  # the fields are the elements of a tuple there
            entries |= {"8.__args__.0.0": ("str", "abc"), "8.__args__.0.1": ("int", 10)}
        literals += ["'abc'", "10"]
    if python == 3 and "enums" in added:
        entries |= {"42": ("__main__.NormalEnum", None), "43": ("__main__.ByValueEnum", None)}
        literals += ["30", "20"]
    return entries, literals
