"""Reads pickles with CPython's own unpickler and prints what each imports, as JSON. Nothing is imported or called.

    python tracing.py < paths

`find_class` hands out a stand-in for every name, so the stream runs as it would, with names that do nothing. Names are
listed even where the stream breaks off.
"""

import json
import pickle
import resource
import sys


class StandIn:
    """Takes any call and any state, and is a class where one is needed."""

    def __new__(cls, *arguments, **keywords):
        return object.__new__(cls)

    def __init__(self, *arguments, **keywords):
        pass

    def __call__(self, *arguments, **keywords):
        return StandIn()

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass

    def append(self, item):
        pass

    def extend(self, items):
        pass

    add = append


class Tracer(pickle.Unpickler):
    def __init__(self, file):
        super().__init__(file)
        self.names = []

    def find_class(self, module, name):
        self.names.append([module, name])
        return type("StandIn", (StandIn,), {})

    def persistent_load(self, saved):
        return StandIn()


def main():
    # A memo's index of four thousand million asks CPython for as much memory.
    resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
    traced = {}
    for path in sys.stdin.read().splitlines():
        with open(path, "rb") as file:
            tracer = Tracer(file)
            try:
                tracer.load()
            except Exception:  # what CPython refuses, whatever it raises
                pass
            traced[path] = tracer.names
    json.dump(traced, sys.stdout)


if __name__ == "__main__":
    main()
