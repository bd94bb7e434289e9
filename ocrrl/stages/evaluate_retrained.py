"""`evaluate_retrained`: the retrained VLA, the one before and the control variants, from the same initial states."""

from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.rollouts.evaluate_retrained import VariantsEvaluation, write_retrained_evaluation
from ocrrl.stages.policy_in_cell import TWIN, PolicyInCell, run_policies

VLA_OF_VARIANT = {
    "before": "real",
    "retrained": "retrained",
    "demonstrations_only": "demonstrations_only",
    "base_rollouts": "base_rollouts",
}


def run(task: TabletopTask, params: Params, layout: Layout) -> None:
    config = params.config("evaluate_retrained", task.slug)
    policies = [
        PolicyInCell.of(task, params, config, config.episodes, TWIN, layout.vla(vla)) for vla in VLA_OF_VARIANT.values()
    ]
    outcomes = run_policies(policies, initial_state_seeds("test", config.episodes))
    evaluation = VariantsEvaluation(task.slug, TWIN, dict(zip(VLA_OF_VARIANT, outcomes, strict=True)))
    write_retrained_evaluation(
        layout.retrained_evaluation, task.slug, layout.round_number, [evaluation], layout.vla("retrained")
    )
    for variant, episodes in evaluation.variants.items():
        print(f"{variant}: {sum(o.success for o in episodes) / len(episodes):.2f} of {len(episodes)} episodes")
