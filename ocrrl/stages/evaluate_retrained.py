"""`evaluate_retrained`: the retrained VLA, the one before and the control variants, from the same initial states."""

from ocrrl.interface.cameras import CameraSizes
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.rollouts.control_loop import run_episodes
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.evaluate_retrained import EvaluateRetrainedConfig, VariantsEvaluation, write_retrained_evaluation
from ocrrl.stages.processes import side_by_side
from ocrrl.tabletop.registry import tabletop_task
from ocrrl.worlds import make_twin

VLA_OF_VARIANT = {
    "before": "real",
    "retrained": "retrained",
    "demonstrations_only": "demonstrations_only",
    "base_rollouts": "base_rollouts",
}
CELL = "twin"


def run(task: TabletopTask, params: Params, layout: Layout) -> None:
    from ocrrl.policies.checkpoint import expected_policies

    config, expected = params.config("evaluate_retrained", task.slug), expected_policies(params, task.slug)
    outcomes = side_by_side(
        evaluate_variant,
        [(task.slug, layout, vla, config, expected, params.cameras) for vla in VLA_OF_VARIANT.values()],
    )
    evaluation = VariantsEvaluation(task.slug, CELL, dict(zip(VLA_OF_VARIANT, outcomes, strict=True)))
    write_retrained_evaluation(layout.retrained_evaluation, task.slug, layout.round_number, [evaluation])
    for variant, episodes in evaluation.variants.items():
        print(f"{variant}: {sum(o.success for o in episodes) / len(episodes):.2f} of {len(episodes)} episodes")


def evaluate_variant(
    slug: str,
    layout: Layout,
    vla: str,
    config: EvaluateRetrainedConfig,
    expected: dict[str, bool],
    cameras: CameraSizes,
    seeds_for: str = "test",
) -> list[EpisodeOutcome]:
    """The VLA `layout.vla(vla)`, of a policy type in `expected`, alone on the tabletop task `slug` in the cell.

    On `test` or `validation` seeds.
    """
    from ocrrl.policies.checkpoint import load_policy

    task, parallel = tabletop_task(slug), min(config.num_envs, config.episodes)
    policy = load_policy(layout.vla(vla), task.instruction, parallel, config.device, expected, cameras)
    seeds = initial_state_seeds(seeds_for, config.episodes)
    return run_episodes(make_twin(slug, parallel, cameras), policy, None, seeds)
