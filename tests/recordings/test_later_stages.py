import pytest

from ocrrl.recordings.ingest_config import IngestConfig
from ocrrl.recordings.later_stages import EpisodeFacts, what_later_stages_say, why_not_mixed
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT

SOUND = EpisodeFacts(CUBE_LIFT.instruction, "twin", 100, True)


def said(*facts):
    return what_later_stages_say(facts, CUBE_LIFT, IngestConfig())


def test_nothing_is_said_of_what_every_stage_takes():
    assert said(SOUND, SOUND) == () and said() == ()
    assert why_not_mixed(["twin"], CUBE_LIFT, ()) is None


@pytest.mark.parametrize(
    ("fact", "lines"),
    [
        (
            EpisodeFacts("take the block", "twin", 100, True),
            [
                "2 episodes: instruction 'take the block' is not the task's 'grasp the wooden cuboid and lift it', with which"
            ],
        ),
        (
            EpisodeFacts(CUBE_LIFT.instruction, "twin", 100, False),
            [
                "2 episodes: no poses of the objects (cuboid): replay drops such an episode and, with none left, ends the loop"
            ],
        ),
        (
            EpisodeFacts(CUBE_LIFT.instruction, "twin", 130, True),
            ["2 episodes: longer than the task's horizon of 120 steps (up to 130)"],
        ),
    ],
)
def test_what_a_later_stage_will_refuse_is_said_with_the_next_step(fact, lines):
    found = said(fact, fact)
    assert len(found) == len(lines)
    for line, start in zip(found, lines, strict=True):
        assert line.startswith(start)


def test_one_episode_is_too_few():
    assert said(SOUND) == ("1 episode: too few for a VLA to learn from; ingest at least 2, better 30",)


def test_cells_that_training_set_will_not_mix_are_named_with_the_line_that_allows_it():
    line = why_not_mixed(["my_fr3"], CUBE_LIFT, ())
    assert line is not None and line.endswith("training_set.cube_lift.cells: [my_fr3, twin] allows it")
    assert why_not_mixed(["my_fr3"], CUBE_LIFT, ("twin", "my_fr3")) is None
