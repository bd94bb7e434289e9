"""Results of the stages that train: finetune, retrain, train_residual."""

from tasks.line_chart import Line, Mark, line_chart
from tasks.markdown import number, paragraphs, percent, picture, table
from tasks.results import Json, Results

SVG = "image/svg+xml"
MOST_POINTS = 12  # of a learning curve's table
ARMS = {
    "vla_retrained": "retrained on corrected rollouts",
    "vla_demonstrations_only": "control: demonstrations only",
    "vla_base_rollouts": "control: base's own rollouts",
}


def finetuned(trainings: dict[str, Json]) -> Results:
    """Of `finetune` and `retrain`: `training.json` of each VLA by its folder's name."""
    lines, rows = [], []
    for folder, training in trainings.items():
        name = ARMS.get(folder, folder)
        points = [(point["step"], point["loss"]) for point in training["loss"] if point["loss"] is not None]
        first, last = (points[0][1], points[-1][1]) if points else (None, None)
        lines.append(Line(name.removeprefix("control: "), points))
        data = number(training.get("episodes")), number(training.get("frames"))
        rows.append((name, number(training["steps"]), *data, number(first, 3), number(last, 3)))
    header = ("VLA", "steps", "episodes", "frames", "first loss", "final loss")
    one = next(iter(trainings.values()))
    headline = f"loss {rows[0][4]} → {rows[0][5]} in {rows[0][1]} steps: {rows[0][0]}"
    return Results(
        headline + (f", and {len(rows) - 1} control arms" if len(rows) > 1 else ""),
        paragraphs(
            _drawn(lines, "optimiser step", "loss"),
            table(header, rows),
            f"Policy type {one.get('policy', {}).get('type', 'unknown')}, batch size {one.get('batch_size')}, highest "
            f"learning rate {one.get('learning_rate')}, seed {one.get('seed')}. The loss is averaged over hundredths of the run.",
        ),
    )


def learned(curve: Json, config: Json) -> Results:
    """Of `train_residual`: success on validation states over transitions, and which checkpoint was chosen."""
    points = curve["points"]
    validated = [(p["transitions"], p["validation_success"]) for p in points if p.get("validation_success") is not None]
    training = [(p["transitions"], p["training_success"]) for p in points if p.get("training_success") is not None]
    chosen = config.get("selected") or {}
    at, rate = chosen.get("transitions"), chosen.get("validation_success")
    mark = Mark("chosen", at, rate) if at is not None and rate is not None else None
    settings = config.get("config", {})
    stop, total = settings.get("stop_at_success"), settings.get("total_transitions")
    headline = f"{percent(rate)} on validation states at {number(at)} transitions, chosen" + (
        f"; {percent(validated[0][1])} before training" if validated and validated[0][0] == 0 else ""
    )
    return Results(
        headline,
        paragraphs(
            _drawn(
                [Line("validation", validated, dots=True), Line("training, with exploration", training)],
                "transitions in simulation",
                "success rate",
                rates=True,
                mark=mark,
            ),
            table(
                (
                    "transitions",
                    "validation success",
                    "training success",
                    "size of residual",
                    "critic loss",
                    "checkpoint",
                ),
                [_point(p, at) for p in _spread(points, at)],
            ),
            f"{number(settings.get('validation_episodes'))} validation states, none of which training or the final "
            f"evaluation uses. Training ends at {number(total)} transitions"
            + (f" or {percent(stop)} validation success" if stop is not None else "")
            + ". Size of residual: mean share of its bound.",
        ),
    )


def _drawn(lines: list[Line], x_name: str, y_name: str, rates: bool = False, mark: Mark | None = None) -> str:
    if not any(line.points for line in lines):
        return "*No curve: no point was written.*"
    limits, write = ((0.0, 1.0), percent) if rates else (None, "{:g}".format)
    return picture(line_chart(lines, x_name, y_name, limits, write, mark), SVG, f"{y_name} over {x_name}s")


def _point(point: Json, chosen: float | None) -> tuple[str, ...]:
    return (
        number(point["transitions"]),
        percent(point.get("validation_success")),
        percent(point.get("training_success")),
        number(point.get("residual_magnitude"), 2),
        number(point.get("critic_loss"), 2),
        "chosen" if point["transitions"] == chosen else " ",
    )


def _spread(points: list[Json], chosen: float | None) -> list[Json]:
    """At most `MOST_POINTS` or so of them, evenly spread, with the chosen one and the last."""
    every = -(-len(points) // MOST_POINTS) or 1
    kept = {*range(0, len(points), every), len(points) - 1}
    return [p for k, p in enumerate(points) if k in kept or p["transitions"] == chosen]
