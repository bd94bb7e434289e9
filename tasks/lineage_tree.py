"""The lineage as a text tree, since Prefect's older UI draws no Mermaid."""

import re

BOX = re.compile(r'^\s*(\w+)\["(.*)"\]$', re.MULTILINE)
ARROW = re.compile(r'^\s*(\w+) -->\|"(.*)"\| (\w+)$', re.MULTILINE)


def lineage_tree(flowchart: str) -> str:
    """What nothing else was made from on top, below each what it was made from and by which stage; told once each."""
    boxes = {name: _words(label) for name, label in BOX.findall(flowchart)}
    made_from: dict[str, list[tuple[str, str]]] = {}
    for source, stage, made in ARROW.findall(flowchart):
        made_from.setdefault(made, []).append((_words(stage), source))
    sources = {source for found in made_from.values() for _, source in found}
    told: set[str] = set()
    lines = []

    def tell(box: str, first: str, rest: str) -> None:
        text = boxes.get(box, box)
        again = box in told and box in made_from
        lines.append(f"{first}{text.partition('  ')[0]}, see above" if again else first + text)
        if again:
            return
        told.add(box)
        below = made_from.get(box, [])
        for k, (stage, source) in enumerate(below):
            last = k == len(below) - 1
            tell(source, f"{rest}{'└' if last else '├'}─ {stage}: ", rest + ("   " if last else "│  "))

    for box in [box for box in boxes if box not in sources] or list(boxes)[
        :1
    ]:  # rounds that share a box may go in circles
        tell(box, "", "")
    return "\n".join(lines)


def _words(label: str) -> str:
    text = label.replace("<br/>", "  ")
    for sign, code in (('"', "quot"), ("<", "lt"), (">", "gt"), ("`", "96"), ("#", "35")):
        text = text.replace(f"#{code};", sign)
    return text
