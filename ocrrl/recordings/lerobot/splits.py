"""Which episodes belong to the split that is asked for: `splits` in info.json, such as {"train": "0:8", "val": "8:10"}."""

from collections.abc import Mapping, Sequence

from ocrrl.episodes.episode_checks import EpisodeRejected
from ocrrl.recordings.lerobot.path_templates import INFO


def outside_split(split: str, splits: Mapping[str, tuple[int, int]], numbers: Sequence[int]) -> dict[int, str]:
    """Why episodes of `numbers` (in order) are left out, by number; empty where no split is asked for or declared.

    A range counts episodes in their order; in a dataset whose numbers have gaps it is of numbers where it reaches
    beyond the count. Raises `EpisodeRejected` for a split that is not declared, covers no episode or shares some with
    another.
    """
    if not split or not splits or not numbers:
        return {}
    declared = ", ".join(f"{name} {start}:{stop}" for name, (start, stop) in splits.items())
    if split not in splits:
        required = f"one with {split} (or ask for another: ingest.<task>.split)"
        raise EpisodeRejected("splits", required, declared, INFO)
    by_number = max(stop for _, stop in splits.values()) > len(numbers) and numbers[-1] >= len(numbers)
    places = dict(zip(numbers, numbers if by_number else range(len(numbers)), strict=True))
    members = {
        name: {number for number, place in places.items() if start <= place < stop}
        for name, (start, stop) in splits.items()
    }
    if not members[split]:
        raise EpisodeRejected(f"splits.{split}", f"a range of the {len(numbers)} episodes", declared, INFO)
    for other in splits:
        if other != split and (shared := members[split] & members[other]):
            got = f"{declared} (episode {min(shared)} is in both)"
            raise EpisodeRejected("splits", f"without episodes in both {split} and {other}", got, INFO)
    start, stop = splits[split]
    return {number: f"not in split {split} ({start}:{stop})" for number in numbers if number not in members[split]}
