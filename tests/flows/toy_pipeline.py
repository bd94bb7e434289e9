"""A pipeline of four quick stages with the commands' grammar of the real one, for flows that are killed and broken."""

from pathlib import Path

from tests.flow_project import commit, copy_for_flows

DVC_YAML = """\
stages:
  record:
    cmd: ./toy record cube_lift --round round0
    deps: [toy]
    outs: [data/record.txt]
    meta: {slot: cpu, retries: 1}
  finetune:
    matrix: {domain: [sim, real]}
    cmd: ./toy finetune cube_lift --round round0 --domain ${item.domain}
    deps: [toy, data/record.txt]
    outs: ["data/finetune-${item.domain}.txt"]
    meta: {slot: gpu, retries: 1}
  report:
    cmd: ./toy report cube_lift --round round0
    deps: [data/finetune-sim.txt, data/finetune-real.txt, toy]
    outs: [data/report.txt]
    meta: {slot: cpu, retries: 0}
"""

# Writes data/<stage>[-<domain>].txt after a while; fails where a file break-<stage>[-<domain>] lies in the project.
TOY = """\
#!/usr/bin/env python3
import pathlib, sys, time
stage, task, *options = sys.argv[1:]
name = "-".join([stage, *options[3:4]])
print("working on", name, flush=True)
time.sleep(1.0)
if pathlib.Path("break-" + name).exists():
    sys.exit(f"ValueError: {name} cannot go on; the reason stands here")
pathlib.Path("data").mkdir(exist_ok=True)
pathlib.Path(f"data/{name}.txt").write_text(name + " of " + task)
"""


def toy_project(folder: Path) -> Path:
    """The toy pipeline under the project's own flows, as a git repository."""
    copy_for_flows(folder, DVC_YAML)
    (folder / "toy").write_text(TOY)
    (folder / "toy").chmod(0o755)
    commit(folder, "toy")
    return folder
