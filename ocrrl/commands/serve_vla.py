"""`ocrrl serve-vla`: answers for a checkpoint on this machine, by openpi's or Isaac-GR00T's protocol."""

import argparse
from pathlib import Path

from ocrrl.policies.remote.addresses import is_loopback

PORTS = {"openpi": 8000, "gr00t": 5555}
LONGEST_WAIT = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="the VLA's folder: any LeRobot policy, or the default VLA")
    parser.add_argument("--protocol", choices=tuple(PORTS), required=True)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1, this machine alone)")
    parser.add_argument("--port", type=int, help="0: any free one (8000 for openpi, 5555 for gr00t)")
    parser.add_argument("--token-file", type=Path, help="file of mode 600 with the token that clients must send")
    parser.add_argument("--max-batch", type=int, default=16, help="robots that are answered together (16)")
    parser.add_argument(
        "--max-wait", type=float, default=0.005, help="seconds that a question waits for others (0.005)"
    )
    parser.add_argument("--health-port", type=int, help="for gr00t: /healthz and /metrics over HTTP at this port")
    parser.add_argument(
        "--allow-remote-code",
        action="store_true",
        help="let the folder's own Python code run (groot and others need it)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")


def run(options: argparse.Namespace) -> int:
    import signal
    import threading
    from contextlib import ExitStack

    from ocrrl.interface.devices import chosen_device
    from ocrrl.policies.checkpoint import load_vla
    from ocrrl.policies.policy_type import REMOTE, policy_type
    from ocrrl.policies.remote.serving import gr00t_server, openpi_server
    from ocrrl.policies.remote.serving.health import health_served
    from ocrrl.policies.remote.serving.service import Service, contract_of, warm_up
    from ocrrl.policies.remote.tokens import read_token_file

    require_options(options)
    token = read_token_file(options.token_file) if options.token_file else None
    kind = policy_type(options.checkpoint)
    if kind == REMOTE:
        raise ValueError(f"{options.checkpoint} must be a checkpoint, got a VLA that a server answers for already")
    vla = load_vla(options.checkpoint, chosen_device(options.device), {kind: options.allow_remote_code})
    server = {"openpi": openpi_server, "gr00t": gr00t_server}[options.protocol]
    contract = contract_of(
        options.checkpoint, vla, options.max_batch, server.IMAGE_KEY, server.STATE_KEY, server.PROMPT
    )
    warm_up(vla, contract)
    service = Service(vla, contract, options.max_wait, token)
    serve = openpi_server.serve_openpi if options.protocol == "openpi" else gr00t_server.serve_gr00t
    port = PORTS[options.protocol] if options.port is None else options.port
    guarded = "with a token" if token else "without a token"

    def listening(address: str) -> None:
        print(f"{options.checkpoint} ({contract.policy}, {contract.identity}) at {address}, {guarded}", flush=True)

    with ExitStack() as opened:
        opened.callback(service.close)
        if options.health_port is not None:
            health = health_served(service, options.host, options.health_port, lambda url: print(url, flush=True))
            opened.enter_context(health)
        over = threading.Event()
        for ending in (signal.SIGINT, signal.SIGTERM):  # Python itself leaves SIGINT ignored in a background job
            signal.signal(ending, lambda number, frame: over.set())
        serve(service, options.host, port, over, listening)
        print("stopped")
    return 0


def require_options(options: argparse.Namespace) -> None:
    """ValueError for an option that cannot be served with, and for a server that others could reach without a token."""
    if not is_loopback(options.host) and options.token_file is None:
        raise ValueError(
            f"--host must be this machine alone (127.0.0.1) without a token, got {options.host}: give --token-file, or reach it by "
            "`ssh -L`"
        )
    for name in ("port", "health_port"):
        value = getattr(options, name)
        if value is not None and not 0 <= value <= 65535:
            raise ValueError(f"--{name.replace('_', '-')} must be in [0, 65535], got {value}")
    if options.max_batch < 1:
        raise ValueError(f"--max-batch must be at least 1, got {options.max_batch}")
    if not 0.0 <= options.max_wait <= LONGEST_WAIT:
        raise ValueError(f"--max-wait must be in [0, {LONGEST_WAIT:g}] s, got {options.max_wait:g}")
    if options.health_port is not None and options.protocol == "openpi":
        raise ValueError("--health-port must be left out for openpi, whose own port answers /healthz and /metrics")
