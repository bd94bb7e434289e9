"""`promote`: chooses the pair of VLAs with which a tabletop task enters a later round.

A retrained VLA is promoted where the sequential test finds it better than the one before, on validation states; its counterpart in
the simulator goes with it, so that the pair stays a pair. Without a verdict the pair before goes on.
"""

import shutil
from dataclasses import asdict

from ocrrl import files
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import MULTITASK, Layout
from ocrrl.params import Params
from ocrrl.rollouts.sequential_test import StoppingRule, sequential_verdict
from ocrrl.rollouts.statistics import rate_difference, success_summary
from ocrrl.stages.policy_in_cell import TWIN, PolicyInCell, run_policies


def run(task: TabletopTask, params: Params, layout: Layout) -> None:
    config, together = params.config("promote", task.slug), Layout(MULTITASK, layout.round)
    candidates = (layout.previous.vla("real"), together.previous.vla("retrained"))
    policies = [PolicyInCell.of(task, params, config, config.episodes, TWIN, vla) for vla in candidates]
    before, retrained = run_policies(policies, initial_state_seeds("validation", config.episodes))
    rule = StoppingRule(most_pairs=config.episodes)
    pairs = [(old.success, new.success) for old, new in zip(before, retrained, strict=True)]
    verdict = sequential_verdict(rule, pairs)
    promoted = verdict["decision"] == "better"
    chosen = {
        "sim": together.vla("sim") if promoted else layout.previous.vla("sim"),
        "real": candidates[promoted],
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
        "verdict": verdict,
        "stopping_rule": asdict(rule),
    }
    files.write_json(layout.promotion, measured)
    print(
        f"{'promoted' if promoted else 'not promoted'}: {verdict['decision']} by the sequential test of {verdict['pairs']} pairs"
    )
