"""`evaluate`: base and base + residual from the same held-out initial states, in the simulator and in the twin cell."""

from ocrrl.interface.seeds import initial_state_seeds
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.layout import Layout
from ocrrl.params import Params
from ocrrl.rollouts.episode_outcome import EpisodeOutcome
from ocrrl.rollouts.evaluate import Frames, PairedEvaluation, take_videos, write_evaluation
from ocrrl.stages.policy_in_cell import PolicyInCell, run_policies
from ocrrl.stages.processes import side_by_side
from ocrrl.worlds import make_environment

VLA_OF_CELL = {"sim": "sim", "twin": "real"}
VIDEO_SIZE = 160  # pixels


def run(task: TabletopTask, params: Params, layout: Layout, seed: int) -> None:
    config = params.config("evaluate", task.slug)
    policies = [
        PolicyInCell.of(task, params, config, config.episodes, cell, layout.vla(vla), residual)
        for cell, vla in VLA_OF_CELL.items()
        for residual in (None, layout.residual(seed))
    ]
    outcomes = run_policies(policies, initial_state_seeds("test", config.episodes), keep_traces=True)
    of_cells = list(zip(VLA_OF_CELL, outcomes[::2], outcomes[1::2], strict=True))
    filmed = [
        (task.slug, cell, base[: config.num_envs], residual[: config.num_envs], config.videos)
        for cell, base, residual in of_cells
    ]
    videos = side_by_side(cell_videos, filmed) if config.videos else [{}] * len(of_cells)
    evaluations = [PairedEvaluation(*pair, taken) for pair, taken in zip(of_cells, videos, strict=True)]
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


def cell_videos(
    slug: str, cell: str, base: list[EpisodeOutcome], residual: list[EpisodeOutcome], videos: int
) -> dict[str, Frames]:
    """Videos of the first batch in `cell`, for people."""
    world = make_environment(cell, slug, videos)
    return take_videos(world, base, residual, videos, lambda ids: world.image(ids, VIDEO_SIZE))
