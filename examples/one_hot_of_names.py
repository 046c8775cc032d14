"""One-hot vectors of string labels: a map from names to classes, and one_hot of the classes.

The harness's one_hot takes int64 classes. Names become classes by a map that is made once, from the names that there
are, in sorted order: so the same names always get the same columns, whatever order they come in.

    python examples/one_hot_of_names.py
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from harness.cases.one_hot import oracle as one_hot


def class_map(names: Iterable[str]) -> dict[str, int]:
    """The class of each different name, counted from 0 in sorted order."""
    return {name: number for number, name in enumerate(sorted(set(names)))}


def classes_of(names: Iterable[str], known: Mapping[str, int]) -> np.ndarray:
    """The classes of names; KeyError for a name that is not in the map."""
    return np.array([known[name] for name in names], dtype=np.int64)


def names_of(rows: np.ndarray, known: Mapping[str, int]) -> list[str]:
    """The names that one-hot rows stand for."""
    by_class = {number: name for name, number in known.items()}
    return [by_class[int(number)] for number in rows.argmax(axis=-1)]


def main() -> None:
    names = ["oak", "pine", "birch", "oak", "elm", "birch"]
    known = class_map(names)
    rows = one_hot(classes_of(names, known), num_classes=len(known))
    print("      " + "".join(f"{name:>7}" for name in known))
    for name, row in zip(names, rows, strict=True):
        print(f"{name:<6}" + "".join(f"{number:>7}" for number in row))
    assert names_of(rows, known) == names
    try:
        classes_of(["maple"], known)
    except KeyError as error:
        print(f"{error.args[0]!r} is in no class: it was not among the names that the map was made from")


if __name__ == "__main__":
    main()
