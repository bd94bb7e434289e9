"""`ocrrl show`: the results of a stage as Markdown or JSON; the Prefect UI shows the same text."""

import argparse
import json
import re
from dataclasses import dataclass, replace

from ocrrl.commands.stages import MULTITASK_STAGES
from ocrrl.layout import MULTITASK, ROLLED_OUT_SEED, ROUND, Layout
from ocrrl.report.page import Block, Figure, markdown
from ocrrl.report.stage_pages import PAGES, StagePage
from ocrrl.report.table import Table
from ocrrl.report.verdicts import TWIN_STATEMENT
from ocrrl.tabletop.registry import slugs, tabletop_task

OF_A_SEED = ("train_residual", "evaluate")
DOMAINS = ("sim", "real")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", help="STAGE, STAGE@TASK or TASK, such as evaluate@cube_lift, finetune@cube_lift-sim, cube_lift"
    )
    parser.add_argument("--round", default="round0", help="round of self-improvement: round0, round1, ...")
    parser.add_argument("--format", default="md", choices=("md", "json"))
    parser.add_argument(
        "--images", action="store_true", help="include figures and frames in the Markdown, as in the Prefect UI"
    )


def run(options: argparse.Namespace) -> int:
    print(show(options.what, options.round, options.format, options.images))
    return 0


@dataclass(frozen=True)
class Shown:
    """One stage on one tabletop task, or on all; the variant is a seed, a domain or empty."""

    stage: str
    layout: Layout
    variant: str = ""

    def __post_init__(self) -> None:
        self.layout.round_number  # noqa: B018  raises for what is no round

    @property
    def title(self) -> str:
        """`train_residual · cube_lift · seed 0 · round0`."""
        variant = f"seed {self.variant}" if self.stage in OF_A_SEED else self.variant
        task = "" if self.stage in MULTITASK_STAGES else self.layout.tabletop_task
        return " · ".join(filter(None, (self.stage, task, variant, self.layout.round)))

    @property
    def address(self) -> str:
        """As dvc.yaml calls the stage: items of round 0 bear no round."""
        if self.stage in MULTITASK_STAGES:
            return self.stage if self.stage == "publish" else f"{self.stage}@{self.layout.round}"
        later = "" if self.layout.round == ROUND else self.layout.round
        return f"{self.stage}@{'-'.join(filter(None, (later, self.layout.tabletop_task, self.variant)))}"


def show(what: str, round_name: str = ROUND, form: str = "md", images: bool = False) -> str:
    """The results of `what`, in `form` md or json; with `images` figures and frames stand in the Markdown.

    ValueError for what is no stage or tabletop task, FileNotFoundError for a stage that has not run, with the command.
    """
    candidates, pages = _shown(what, round_name), []
    for shown in candidates:
        try:
            pages.append((shown, _page(shown)))
        except FileNotFoundError:
            if len(candidates) == 1:
                raise
    if not pages:
        raise FileNotFoundError(f"{what} has no results of {round_name} here; `dvc repro {what}` makes them")
    if form == "json":
        return json.dumps([_fields(shown, page) for shown, page in pages], indent=2, ensure_ascii=False)
    return "\n\n".join(_text(shown, page, images) for shown, page in pages)


def _shown(what: str, round_name: str) -> list[Shown]:
    """What `STAGE`, `STAGE@TASK`, `STAGE@TASK-VARIANT` or `TASK` names; a stage alone stands for every task."""
    stage, _, item = what.partition("@")
    if what in slugs():
        stage, item = "report", what
    if stage not in PAGES:
        raise ValueError(
            f"what to show must be a stage ({', '.join(PAGES)}), one with its tabletop task as in evaluate@cube_lift, or a "
            f"tabletop task alone ({', '.join(slugs())}), got {what!r}"
        )
    if stage in MULTITASK_STAGES:
        return [Shown(stage, Layout(MULTITASK, item or round_name))]
    if not item:
        return [_of_task(stage, slug, "", round_name) for slug in slugs()]
    later, slug, variant = re.fullmatch(r"(?:(round\d+)-)?([^-]*)-?(.*)", item, re.DOTALL).groups()  # type: ignore[union-attr]
    return [_of_task(stage, slug, variant, later or round_name)]


def _of_task(stage: str, slug: str, variant: str, round_name: str) -> Shown:
    slug = tabletop_task(slug).slug
    if stage in OF_A_SEED:
        variant = variant or str(ROLLED_OUT_SEED)
        if not re.fullmatch(r"[0-9]{1,9}", variant):
            raise ValueError(
                f"{stage}@{slug}-... must end in a residual's seed, such as {stage}@{slug}-0, got {variant!r}"
            )
    elif variant and (stage != "finetune" or variant not in DOMAINS):
        valid = f"{stage}@{slug}" + (f", {stage}@{slug}-sim, {stage}@{slug}-real" if stage == "finetune" else "")
        raise ValueError(f"{stage} of {slug} must be one of {valid}, got {f'{stage}@{slug}-{variant}'!r}")
    return Shown(stage, Layout(slug, round_name), variant)


def _page(shown: Shown) -> StagePage:
    try:
        return PAGES[shown.stage](shown.layout, shown.variant)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error} must be there; `dvc repro {shown.address}` makes it") from error
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(
            f"the results of {shown.address} must be as the stage writes them, got {type(error).__name__}: {error}; "
            f"`dvc repro --force --single-item {shown.address}` writes them again"
        ) from error


def _text(shown: Shown, page: StagePage, images: bool) -> str:
    blocks = [_drawn(block) for block in page.blocks] if images else page.blocks
    body = re.sub(r"^#", "###", page.report, flags=re.MULTILINE) or markdown(blocks, 3, images)
    text = f"## {shown.title}\n\n{page.headline}\n\n{body.rstrip()}"
    return f"{text}\n\n{TWIN_STATEMENT}" if "(simulated)" in text and TWIN_STATEMENT not in text else text


def _drawn(block: Block) -> Block:
    """A figure with its content, or the reason why it has none: an image never costs the text around it."""
    if not isinstance(block, Figure):
        return block
    try:
        content = block.draw()
    except Exception as error:
        return f"No image: {type(error).__name__}: {error}"
    return replace(block, draw=lambda: content)


def _fields(shown: Shown, page: StagePage) -> dict[str, object]:
    task = None if shown.stage in MULTITASK_STAGES else shown.layout.tabletop_task
    texts = ([block] if isinstance(block, str) else block for block in page.blocks if isinstance(block, str | list))
    paragraphs = [text for block in texts for text in block]
    return {
        "stage": shown.stage,
        "tabletop_task": task,
        "round": shown.layout.round,
        "variant": shown.variant or None,
        "headline": page.headline,
        "tables": [
            {name: getattr(block, name) for name in ("title", "header", "rows", "note")}
            for block in page.blocks
            if isinstance(block, Table)
        ],
        "text": [*paragraphs, *([page.report] if page.report else [])],
    }
