"""Two descriptions of machines: whether they are of one machine, what differs, in words, and what changed over time."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.machine import BOX, FIRST_IDENTITY, IDENTITY, NOTED, SETTINGS, UNIQUE

Description = Mapping[str, Any]

WORDS = {
    "cpu": "CPU {}",
    "architecture": "architecture {}",
    "instructions": "instruction sets {}",
    "caches_kib": "{} KiB of {name} cache",
    "smt": "hardware threads {}",
    "memory_gib": "{} GiB of memory",
    "numa_nodes": "{} NUMA nodes",
    "cores_usable": "{} usable cores",
    "cores": "{} cores",
    "cores_physical": "{} physical cores",
    "quota_cores": "a quota of {} cores",
    "gpus": "GPU {}",
    "gpus_visible": "visible GPU {}",
    "driver": "driver {}",
    "cuda": "CUDA {}",
    "system": "system {}",
    "python": "{}",
    "kernels": "{name} {}",
    "libraries": "{name} {}",
    "blas": "BLAS {}",
    "environment": "{name}={}",
    "governor": "governor {}",
    "turbo": "turbo {}",
    "limit_khz": "a clock limit of {} kHz",
    "huge_pages": "huge pages {}",
    "kernel": "kernel {}",
    "memory_limit_gib": "a memory limit of {} GiB",
    "mitigations": "{name}: {}",
    "harness": "kernel-harness {}",
}
"""How a field is said; {name} is the key inside it."""
NO_LIMIT = ("quota_cores", "limit_khz", "memory_limit_gib")
"""Fields in which null is no limit."""
MOMENTARY = ("state", "frequency", "threads", "rule")
"""What a description says of a moment, twice, or of itself."""
SWITCHES = {True: "on", False: "off"}
CHANGES = "changes"
"""The key of a description under which later changes of what is no part of the id are kept, oldest first."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that two descriptions say differently; `field` is the key in the description, `name` the one inside."""

    field: str
    name: str
    first: Any
    second: Any

    @property
    def matters(self) -> bool:
        """Whether times of the two are not compared for it."""
        return self.field in IDENTITY or self.field in SETTINGS

    def words(self, between: str = "against") -> str:
        """`CPU Xeon A against Xeon B`"""
        template = WORDS.get(self.field, f"{self.field.replace('_', ' ')}{' {name}' if self.name else ''} {{}}")
        shown = template.format(_value(self.first), name=self.name)
        if self.first is None and self.field.startswith(NO_LIMIT):
            shown = template.split(" of {}")[0].replace("a ", "no ", 1)
        return f"{shown} {between} {_value(self.second)}"


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return SWITCHES[value]
    if isinstance(value, Mapping):
        kept = [
            f"{one} MiB" if key == "memory_mib" else f"MIG {one}" if key == "mig" else str(one)
            for key, one in value.items()
            if key not in UNIQUE and one is not None
        ]
        return " ".join(kept) or "none"
    if isinstance(value, list):
        return ", ".join(_value(one) for one in value) or "none"
    return str(value)


def differences(first: Description, second: Description, fields: Sequence[str] | None = None) -> list[Difference]:
    """What two descriptions say differently: what makes the id first, then the settings, then what is only noted, then
    what neither of these lists knows. A field that only a description of an older rule lacks is no difference."""
    old = _rule(first) != _rule(second)
    ours = {*IDENTITY, *SETTINGS, *NOTED, *MOMENTARY, CHANGES}
    others = sorted((first.keys() | second.keys()) - ours) if fields is None else []
    if fields is None:
        fields = [*IDENTITY, *SETTINGS, *NOTED, *others]
    found: list[Difference] = []
    for field in fields:
        if old and not (field in first and field in second) and field not in others:
            continue
        found += _differing(field, first.get(field), second.get(field))
    seen = {(one.name, str(one.first), str(one.second)) for one in found if one.field == "kernels"}
    # what runs kernels is listed among all libraries a second time
    return [one for one in found if one.field != "libraries" or (one.name, str(one.first), str(one.second)) not in seen]


def _differing(field: str, first: Any, second: Any) -> Iterator[Difference]:
    if isinstance(first, Mapping) or isinstance(second, Mapping):
        before, after = (one if isinstance(one, Mapping) else {} for one in (first, second))
        for key in sorted(before.keys() | after.keys()):
            if before.get(key) != after.get(key):
                yield Difference(field, key, before.get(key), after.get(key))
    elif field == "instructions" and isinstance(first, list) and isinstance(second, list):
        fewer, more = ([one for one in a if one not in b] for a, b in ((first, second), (second, first)))
        if fewer or more:
            yield Difference(field, "", fewer or None, more or None)
    elif _comparable(first) != _comparable(second):
        yield Difference(field, "", first, second)


def _comparable(value: Any) -> str:
    def common(one: Any) -> Any:
        if isinstance(one, Mapping):
            return {key: common(part) for key, part in one.items() if key not in UNIQUE}
        return [common(part) for part in one] if isinstance(one, list) else one

    return json.dumps(common(value), sort_keys=True, default=str)


def is_continued(older: Description, newer: Description) -> bool:
    """Whether a description of an older rule agrees with a newer one in all that its id was made of, so that both are
    taken for one machine under two ids. What the older rule did not look at cannot contradict that."""
    if not _rule(older) < _rule(newer):
        return False
    if any(older.get(name) is None for name in FIRST_IDENTITY):
        return False  # of another tool, or cut short: it says too little
    return all(_first(name, older[name]) == newer.get(name) for name in FIRST_IDENTITY)


def _first(name: str, value: Any) -> Any:
    """What an older rule kept under a name; which GPU was used counts no more."""
    if name == "environment" and isinstance(value, Mapping):
        return {key: one for key, one in value.items() if not key.startswith("CUDA_VISIBLE")}
    return value


def _rule(description: Description) -> int:
    rule = description.get("rule", 1)
    return rule if isinstance(rule, int) else 0


def continued(machines: Sequence[tuple[str, str, Description]]) -> dict[str, str]:
    """By each id of an older rule the newer id of the same machine; `machines` are (id, first seen, description).

    Where several newer ones agree with an older one it is the one that was seen first: later ones are that machine
    with something changed that the older rule did not look at.
    """
    found = {}
    for name, _, older in machines:
        agreeing = [(seen, other) for other, seen, newer in machines if other != name and is_continued(older, newer)]
        if agreeing:
            found[name] = min(agreeing)[1]
    return found


def is_same_box(first: Description, second: Description) -> bool:
    """Whether two descriptions agree in the hardware, as far as both say it, and the processor is among that."""
    both = [name for name in BOX if first.get(name) is not None and second.get(name) is not None]
    agree = all(_comparable(first[name]) == _comparable(second[name]) for name in both)
    return agree and {"cpu", "memory_gib"} <= set(both)


def machine_words(said: Description) -> str:
    """What a machine is, in one line: `Xeon A, 16 cores, 64 GiB, 2 x NVIDIA H200`."""
    parts = [str(said.get("cpu") or said.get("node") or "not described")]
    if said.get("cores_usable"):
        parts.append(f"{said['cores_usable']} cores")
    if said.get("quota_cores"):
        parts.append(f"a quota of {said['quota_cores']}")
    if said.get("memory_gib"):
        parts.append(f"{said['memory_gib']} GiB")
    cards = said.get("gpus")
    gpus = [str(one.get("name")) for one in cards if isinstance(one, Mapping)] if isinstance(cards, list) else []
    parts += [f"{gpus.count(one)} x {one}" if gpus.count(one) > 1 else one for one in dict.fromkeys(gpus)]
    return ", ".join(parts)


# ---- what changes on one machine from run to run


def changes_since(known: Description, described: Description, run_id: str, started_at: str) -> list[dict[str, Any]]:
    """What a description says differently from the newest that is known under the same id: rows for CHANGES."""
    newest = state_at(known, "9999")
    fields = [name for name in (*SETTINGS, *NOTED) if name in known or name in newest]
    return [
        {
            "started_at": started_at,
            "run_id": run_id,
            "field": one.field,
            "name": one.name,
            "before": one.first,
            "after": one.second,
        }
        for one in differences(newest, described, fields)
    ]


def observed(
    known: Description, described: Description, run_id: str, started_at: str, others: Iterable[tuple[str, str]]
) -> dict[str, Any]:
    """What is known of a machine, with what it was when a run began. At the beginning of each of the `others`, runs as
    (started_at, run_id) that may have begun before or after, it stays what it was."""
    runs = sorted(one for one in others if one != (started_at, run_id))
    state = state_at(known, started_at)
    fields = [name for name in (*SETTINGS, *NOTED) if name in known or name in state]
    found = differences(state, described, fields)
    if not found or any(at == started_at for at, _ in runs):
        return dict(known)
    is_first = not any(at < started_at for at, _ in runs)
    later = next((one for one in runs if one[0] > started_at), None)
    first = {name: value for name, value in known.items() if name != CHANGES}
    kept = [dict(one) for one in changes_of(known)]
    for one in found:
        same = [row for row in kept if (row["field"], row["name"]) == (one.field, one.name)]
        about = {"field": one.field, "name": one.name}
        if is_first and not any(row["started_at"] <= started_at for row in same):
            _put(first, one.field, one.name, one.second)
        else:
            kept.append({"started_at": started_at, "run_id": run_id, **about, "before": one.first, "after": one.second})
        following = next((row for row in same if row["started_at"] > started_at), None)
        if following is not None and (later is None or following["started_at"] <= later[0]):
            following["before"] = one.second
            if following["after"] == one.second:  # it has changed before
                kept.remove(following)
        elif later is not None:
            at, run = later
            kept.append({"started_at": at, "run_id": run, **about, "before": one.second, "after": one.first})
    return {**first, CHANGES: sorted(kept, key=lambda row: str(row["started_at"]))}


def state_at(description: Description, started_at: str) -> dict[str, Any]:
    """A description as it was when a run began: with the changes up to then, and without those after."""
    state = {name: value for name, value in description.items() if name != CHANGES}
    done: set[tuple[str, str]] = set()
    for one in changes_of(description):
        key = one["field"], one["name"]
        if one["started_at"] <= started_at:
            _put(state, *key, one["after"])
            done.add(key)
        elif key not in done:
            _put(state, *key, one["before"])
            done.add(key)
    return state


def changes_of(description: Description) -> list[Mapping[str, Any]]:
    """What changed under one id, the oldest first; what is no change is passed over: a store may be anybody's."""
    kept = description.get(CHANGES)
    found = [one for one in kept if _is_change(one)] if isinstance(kept, list) else []
    return sorted(found, key=lambda one: str(one["started_at"]))


def _is_change(one: Any) -> bool:
    names = ("started_at", "field", "name")
    if not isinstance(one, Mapping) or not all(isinstance(one.get(name), str) for name in names):
        return False
    try:
        return {"before", "after"} <= one.keys() and bool(datetime.datetime.fromisoformat(one["started_at"]))
    except ValueError:
        return False


def _put(state: dict[str, Any], field: str, name: str, value: Any) -> None:
    if not name:
        state[field] = value
        return
    inner = dict(state[field]) if isinstance(state.get(field), Mapping) else {}
    if value is None:
        inner.pop(name, None)
    else:
        inner[name] = value
    state[field] = inner
