"""`ocrrl measure-latency`: how long a VLA takes to answer one robot, as a file that fine-tuning puts beside the VLA."""

import argparse
from pathlib import Path

import numpy as np

FEWEST = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("vla", type=Path, help="the VLA's folder, on the machine that will answer the robot")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file; keep it with `dvc add`")
    parser.add_argument("--requests", type=int, default=100, help=f"answers that are timed, at least {FEWEST} (100)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    parser.add_argument(
        "--allow-remote-code",
        action="store_true",
        help="let the folder's own Python code run (groot and others need it)",
    )
    parser.add_argument(
        "--frame-age", type=float, default=0.0, help="age [s] of a camera's newest frame, added to each time (0)"
    )


def run(options: argparse.Namespace) -> int:
    from ocrrl.interface.actions import CONTROL_HZ
    from ocrrl.interface.devices import chosen_device
    from ocrrl.policies.checkpoint import load_vla
    from ocrrl.policies.chunk_delay import measured_delay
    from ocrrl.policies.latency_file import measure, policy_kind, write_latency
    from ocrrl.policies.policy_type import policy_type

    if options.requests < FEWEST:
        raise ValueError(f"--requests must be at least {FEWEST}, for a 95th percentile, got {options.requests}")
    if not 0.0 <= options.frame_age <= 1.0:
        raise ValueError(f"--frame-age must be in [0, 1] s, got {options.frame_age}")
    device = chosen_device(options.device)
    allowed = {policy_type(options.vla): options.allow_remote_code}
    vla, kind = load_vla(options.vla, device, allowed), policy_kind(options.vla)
    images = {camera: (size[0], size[1]) for camera, size in kind["images"].items()}
    seconds = measure(vla, images, _instruction(options.vla), options.requests)
    write_latency(options.out, kind, device, options.frame_age, seconds)
    late = np.array(seconds) + options.frame_age
    shares = measured_delay(late.tolist()).shares
    drawn = ", ".join(f"{100 * share:.0f}% {steps}" for steps, share in enumerate(shares) if share)
    print(
        f"{options.out}: {len(seconds)} answers, median {1e3 * np.median(late):.1f} ms, 95th percentile "
        f"{1e3 * np.percentile(late, 95):.1f} ms; late by control steps of {1e3 / CONTROL_HZ:.0f} ms: {drawn}"
    )
    return 0


def _instruction(folder: Path) -> str:
    """One that the VLA was trained with, where its folder says so: the default VLA may know no other."""
    from ocrrl.interface.json_file import read_json_object

    record = folder / "training.json"
    known = read_json_object(record).get("instructions") if record.is_file() else None
    return str(known[0]) if isinstance(known, list) and known else "pick up the object"
