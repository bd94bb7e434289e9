"""A lineage difference as text: the verdict, the causes, then the stages from cause to artifact."""

from collections.abc import Iterable, Iterator

from ocrrl.lineage.difference import Difference, PathChange, StageChange, ValueChange
from ocrrl.lineage.reading.places import place_of
from ocrrl.lineage.wording import short, value_text


def difference_text(difference: Difference) -> str:
    """The whole page; folders that stages made anew are counted, a cause's files are all named."""
    old, new = difference.revisions
    if difference.is_changed:
        hashes = f"{short(difference.before)} -> {short(difference.after)}"
        lines = [f"{difference.path} is not the same: {hashes}, from {old} to {new}"]
    else:
        lines = [f"{difference.path} is the same: {short(difference.after)}, in {old} and {new}"]
    if difference.top_files:
        lines += ["", "Why:", *_data_lines(difference.top_files)]
    causes = list(_cause_lines(difference.causes))
    if causes:
        lines += ["", "Why:" if difference.is_changed else "What it was made from is not:", *causes]
    if difference.stages:
        lines += ["", "Stages, from cause to result:"]
        lines += [line for stage in difference.stages for line in _stage_lines(stage)]
    if not difference.is_changed and not difference.stages:
        lines.append("Everything that it was made from is the same too.")
    return "\n".join(lines)


def _cause_lines(stages: list[StageChange]) -> Iterator[str]:
    said: set[str] = set()
    for stage in stages:
        for source in stage.sources:
            if source.path not in said:
                yield from _data_lines(source)
            said.add(source.path)
    for change, addresses in _shared((change, stage.address) for stage in stages for change in stage.params):
        yield f"  parameter {change.name}: {_value(change.before)} -> {_value(change.after)}  ({', '.join(addresses)})"
    for stage in stages:
        if stage.command:
            yield f"  command of {stage.address}: {stage.command.before} -> {stage.command.after}"
    for change, addresses in _shared((change, stage.address) for stage in stages for change in stage.code):
        yield f"  code {change.path}: {_hashes(change)}  ({', '.join(addresses)})"
        yield from (f"    {file.path}" for file in change.files)
        if change.why_unknown:
            yield f"    {change.why_unknown}"
    for stage in stages:
        if stage.is_unexplained:
            yield f"  same inputs, other bytes: {stage.address} ({_unexplained(stage)})"
            for out in stage.outs:
                yield from _data_lines(out, "    ")


def _unexplained(stage: StageChange) -> str:
    if stage.versions is None:
        return "edited by hand, or not reproducible; the run record lacks the library versions of one of them"
    if stage.versions:
        return f"library versions: {_values(stage.versions)}"
    return "edited by hand, or not reproducible: the library versions are the same"


def _data_lines(change: PathChange, indent: str = "  ") -> Iterator[str]:
    if change.why_unknown or not change.files:
        yield f"{indent}{place_of(change.path).kind} {change.path}: {_hashes(change)}" + (
            f" ({change.why_unknown})" if change.why_unknown else ""
        )
    else:
        yield f"{indent}{place_of(change.path).kind} {change.path}: {_counts(change)}"
        yield from (f"{indent}  {_verb(file)} {file.path}: {_hashes(file)}" for file in change.files)


def _stage_lines(stage: StageChange) -> Iterator[str]:
    because = [*(source.path for source in stage.sources), *stage.inputs]
    because += ["its parameters"] * bool(stage.params) + ["its code"] * bool(stage.code)
    because += ["its command"] * bool(stage.command)
    if stage.state != "changed":
        yield f"  {stage.address}: {stage.state}"
        return
    yield f"  {stage.address}: made again from {', '.join(because)}" if because else f"  {stage.address}: same inputs"
    for out in stage.outs:
        count = f" ({_counts(out)})" if out.files else ""
        yield f"    {out.path}: {_hashes(out)}{count}"
    if not stage.outs:
        yield "    came out the same"
    if stage.outs and stage.versions and not stage.is_unexplained:
        yield f"    library versions: {_values(stage.versions)}"


def _shared[Change: (ValueChange, PathChange)](
    pairs: Iterable[tuple[Change, str]],
) -> Iterator[tuple[Change, list[str]]]:
    """Each change once, with the stages that have it."""
    addresses: dict[str, tuple[Change, list[str]]] = {}
    for change, address in pairs:
        addresses.setdefault(repr(change), (change, []))[1].append(address)
    yield from addresses.values()


def _counts(change: PathChange) -> str:
    verbs = [_verb(file) for file in change.files]
    return ", ".join(f"{verbs.count(verb)} {verb}" for verb in ("changed", "added", "removed") if verb in verbs)


def _verb(change: PathChange) -> str:
    return "added" if change.before is None else "removed" if change.after is None else "changed"


def _hashes(change: PathChange) -> str:
    before, after = ("nothing" if value is None else short(value) for value in (change.before, change.after))
    return f"{before} -> {after}"


def _values(changes: Iterable[ValueChange]) -> str:
    return ", ".join(f"{change.name} {_value(change.before)} -> {_value(change.after)}" for change in changes)


def _value(value: object) -> str:
    return "nothing" if value is None else value_text(value)
