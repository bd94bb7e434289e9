"""`evaluate`: base and base + residual from the same held-out initial states, in the simulator and in the twin cell."""

from ocrrl.interface.cameras import CameraSizes
from ocrrl.interface.residual_observations import ImageResidual
from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.rollouts.evaluate import EvaluateConfig, PairedEvaluation, evaluate_pair, write_evaluation
from ocrrl.stages.processes import side_by_side
from ocrrl.tabletop.registry import tabletop_task
from ocrrl.worlds import make_environment

VLA_OF_CELL = {"sim": "sim", "twin": "real"}
VIDEO_SIZE = 160  # pixels


def run(task: TabletopTask, params: Params, layout: Layout, seed: int) -> None:
    from ocrrl.policies.checkpoint import expected_policies

    config, expected = params.config("evaluate", task.slug), expected_policies(params, task.slug)
    calls = [(task.slug, layout, seed, cell, config, expected, params.cameras) for cell in VLA_OF_CELL]
    evaluations = side_by_side(evaluate_cell, calls)
    write_evaluation(
        layout.evaluation(seed),
        layout.evaluation_episodes(seed),
        task.slug,
        layout.round_number,
        seed,
        evaluations,
        config.traces,
    )
    for evaluation in evaluations:
        rates = [sum(o.success for o in variant) / len(variant) for variant in (evaluation.base, evaluation.residual)]
        print(
            f"{evaluation.cell}: base {rates[0]:.2f}, base + residual {rates[1]:.2f} of {len(evaluation.base)} episodes"
        )


def evaluate_cell(
    slug: str,
    layout: Layout,
    seed: int,
    cell: str,
    config: EvaluateConfig,
    expected: dict[str, bool],
    cameras: CameraSizes,
) -> PairedEvaluation:
    """Both variants in one cell, with the VLA of that cell's domain, on test seeds; `expected`: its policy types."""
    from ocrrl.policies.checkpoint import load_policy
    from ocrrl.residual.residual_policy import load_residual

    task, parallel = tabletop_task(slug), min(config.num_envs, config.episodes)
    base = load_policy(layout.vla(VLA_OF_CELL[cell]), task.instruction, parallel, config.device, expected, cameras)
    residual = load_residual(layout.residual(seed), task)
    seeds = initial_state_seeds("test", config.episodes)
    world = make_environment(
        cell, slug, parallel, cameras, residual.look if isinstance(residual, ImageResidual) else "plain"
    )
    return evaluate_pair(
        world, base, residual, seeds, config.videos, video_capture=lambda ids: world.image(ids, VIDEO_SIZE)
    )
