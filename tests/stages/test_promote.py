import json

import pytest

from ocrrl.layout import MULTITASK, Layout
from ocrrl.params import Params
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.stages import promote
from ocrrl.tabletop.registry import tabletop_task

LATER = Layout("cube_lift", "round1")
BEFORE = {domain: Layout("cube_lift").vla(domain) for domain in ("sim", "real")}
RETRAINED = {"sim": Layout(MULTITASK, "round1").vla("sim"), "real": Layout(MULTITASK).vla("retrained")}


@pytest.fixture
def promoted(tmp_path, monkeypatch):
    """Runs the stage on made-up outcomes, "1" a success; which VLAs it publishes, and its metrics."""
    params = Params.read()
    monkeypatch.chdir(tmp_path)
    for name, folders in (("before", BEFORE), ("retrained", RETRAINED)):
        for folder in folders.values():
            folder.mkdir(parents=True)
            (folder / "config.json").write_text('{"type": "compact_vla"}')
            (folder / "whose").write_text(name)

    def run(before, retrained):
        outcomes = [
            [EpisodeOutcome(seed, letter == "1", 50, 0.0) for seed, letter in enumerate(text)]
            for text in (before, retrained)
        ]
        monkeypatch.setattr(promote, "run_policies", lambda policies, seeds: outcomes)
        promote.run(tabletop_task("cube_lift"), params, LATER)
        published = {(LATER.vla(domain) / "whose").read_text() for domain in ("sim", "real")}
        return published, json.loads(LATER.promotion.read_text())

    return run


def test_a_pair_that_the_test_finds_better_is_promoted_whole(promoted):
    published, measured = promoted("0" * 20, "1" * 12 + "0" * 8)
    assert published == {"retrained"} and measured["promoted"]
    assert (measured["verdict"]["decision"], measured["verdict"]["decided_after"]) == ("better", 7)
    assert measured["stopping_rule"] == {"level": 0.05, "most_pairs": 100, "least_effect": 0.2}
    assert measured["retrained"]["successes"] == 12 and measured["difference"]["difference"] == 0.6


@pytest.mark.parametrize(
    ("before", "retrained", "decision"),
    [
        ("0" * 100, "1" * 3 + "0" * 97, "no_difference"),  # more successes, which chance explains
        ("10" * 50, "01" * 50, "most_pairs_reached"),
        ("1" * 20, "0" * 20, "worse"),
    ],
)
def test_without_that_verdict_the_pair_before_goes_on(promoted, before, retrained, decision):
    published, measured = promoted(before, retrained)
    assert published == {"before"} and not measured["promoted"]
    assert measured["verdict"]["decision"] == decision
