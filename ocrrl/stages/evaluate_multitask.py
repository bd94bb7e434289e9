"""`evaluate_multitask`: one VLA on every tabletop task, with the VLAs before and the control variants (Fig. 6c, d)."""

from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.rollouts.evaluate_retrained import VariantsEvaluation, write_retrained_evaluation
from ocrrl.stages.evaluate_retrained import VLA_OF_VARIANT
from ocrrl.stages.policy_in_cell import TWIN, PolicyInCell, run_policies


def run(tasks: list[TabletopTask], params: Params, layout: Layout) -> None:
    """The variant `before` is each tabletop task's own VLA; the others are trained on all of them."""
    config = params.multitask_config("evaluate_multitask")
    policies = [
        PolicyInCell.of(
            task,
            params,
            config,
            config.episodes,
            TWIN,
            (Layout(task.slug, layout.round) if variant == "before" else layout).vla(vla),
        )
        for task in tasks
        for variant, vla in VLA_OF_VARIANT.items()
    ]
    outcomes = iter(run_policies(policies, initial_state_seeds("test", config.episodes)))
    evaluations = [
        VariantsEvaluation(task.slug, TWIN, {variant: next(outcomes) for variant in VLA_OF_VARIANT}) for task in tasks
    ]
    write_retrained_evaluation(
        layout.retrained_evaluation, layout.tabletop_task, layout.round_number, evaluations, layout.vla("retrained")
    )
    for evaluation in evaluations:
        rates = {
            variant: sum(o.success for o in episodes) / len(episodes)
            for variant, episodes in evaluation.variants.items()
        }
        print(f"{evaluation.tabletop_task}: " + ", ".join(f"{variant} {rate:.2f}" for variant, rate in rates.items()))
