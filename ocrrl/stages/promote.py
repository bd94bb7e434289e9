"""`promote`: the pair of VLAs that a tabletop task goes on with in a later round.

A retrained VLA that does not solve more validation states than the one before is not promoted, and its counterpart in the
simulator neither: the pair stays a pair.
"""

import argparse
import shutil

from ocrrl import files
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask, tabletop_task
from ocrrl.layout import MULTITASK, Layout
from ocrrl.params import Params
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.evaluate_retrained import EvaluateRetrainedConfig
from ocrrl.rollouts.statistics import rate_difference, success_summary
from ocrrl.stages.processes import side_by_side
from ocrrl.worlds import make_twin


def run(task: TabletopTask, params: Params, layout: Layout, options: argparse.Namespace) -> None:
    config = params.config("promote", task.slug)
    together = Layout(MULTITASK, layout.round)
    before, retrained = side_by_side(
        validate, [(task.slug, layout.previous, "real", config), (task.slug, together.previous, "retrained", config)]
    )
    promoted = sum(o.success for o in retrained) > sum(o.success for o in before)
    chosen = {
        "sim": together.vla("sim") if promoted else layout.previous.vla("sim"),
        "real": together.previous.vla("retrained") if promoted else layout.previous.vla("real"),
    }
    work = files.fresh_folder(layout.work("promote"))
    for domain, folder in chosen.items():
        shutil.copytree(folder, work / domain)
    for domain in chosen:
        files.publish(work / domain, layout.vla(domain))
    measured = {
        "tabletop_task": task.slug,
        "round": layout.round_number,
        "promoted": promoted,
        "before": success_summary(before),
        "retrained": success_summary(retrained),
        "difference": rate_difference(before, retrained),
    }
    files.write_json(layout.promotion, measured)
    print(f"{'promoted' if promoted else 'not promoted'}: {len(retrained)} validation states, {measured['difference']}")


def validate(slug: str, layout: Layout, vla: str, config: EvaluateRetrainedConfig) -> list[EpisodeOutcome]:
    """The VLA `layout.vla(vla)` alone in the twin, on validation seeds."""
    from ocrrl.policies.checkpoint import load_vla
    from ocrrl.policies.chunked_policy import ChunkedPolicy

    task, parallel = tabletop_task(slug), min(config.num_envs, config.episodes)
    policy = ChunkedPolicy(load_vla(layout.vla(vla)), task.instruction, parallel)
    return run_episodes(make_twin(slug, parallel), policy, None, initial_state_seeds("validation", config.episodes))
