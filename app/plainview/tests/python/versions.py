"""Prints what is installed, a package per line: the log of a run says what it was tested with."""

from importlib.metadata import distributions

for name in sorted(f"{d.metadata['Name']} {d.version}" for d in distributions()):
    print(name)
