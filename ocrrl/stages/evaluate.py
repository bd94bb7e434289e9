"""`evaluate`: base and base + residual from the same held-out initial states, in the simulator and in the twin cell."""

from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.evaluate import EvaluateConfig, Frames, PairedEvaluation, take_videos, write_evaluation
from ocrrl.stages.policy_in_cell import PolicyInCell, run_policies
from ocrrl.worlds import make_environment

VLA_OF_CELL = {"sim": "sim", "twin": "real"}
VIDEO_SIZE = 160  # pixels
VIDEO_CAMERAS = ("front",)


def run(task: TabletopTask, params: Params, layout: Layout, seed: int) -> None:
    config = params.config("evaluate", task.slug)
    policies = [
        PolicyInCell.of(task, params, config, config.episodes, cell, layout.vla(vla), residual)
        for cell, vla in VLA_OF_CELL.items()
        for residual in (None, layout.residual(seed))
    ]
    outcomes = run_policies(policies, initial_state_seeds("test", config.episodes), keep_traces=True)
    evaluations = [
        PairedEvaluation(cell, base, residual, _videos(task, cell, base, residual, config))
        for cell, base, residual in zip(VLA_OF_CELL, outcomes[::2], outcomes[1::2], strict=True)
    ]
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


def _videos(
    task: TabletopTask,
    cell: str,
    base: list[EpisodeOutcome],
    residual: list[EpisodeOutcome],
    config: EvaluateConfig,
) -> dict[str, Frames]:
    """Of the first batch, for people."""
    if not config.videos:
        return {}
    world, batch = make_environment(cell, task.slug, config.videos), slice(config.num_envs)
    return take_videos(
        world, base[batch], residual[batch], config.videos, lambda ids: world.image(ids, VIDEO_SIZE, VIDEO_CAMERAS)
    )
