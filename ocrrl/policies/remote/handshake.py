"""What this robot and a policy server agree on before anything moves: `policy` of params.yaml and the server's own word make a model.

Fields that `policy` leaves out are those that `ocrrl serve-vla` tells; the prompt's key is else the protocol's usual one.
Keys that a server names (GR00T's modality config) must be those that it is sent, no camera of it missing.
"""

import json
from collections.abc import Mapping

from ocrrl.interface.protocols import PolicyFault
from ocrrl.policies.action_forms.action_form import ActionForm, action_form
from ocrrl.policies.remote.addresses import resolve_address
from ocrrl.policies.remote.client import Client, Served
from ocrrl.policies.remote.contract import Camera, Contract, contract_in
from ocrrl.policies.remote.gr00t_client import PROMPTS, Gr00tClient, bare
from ocrrl.policies.remote.openpi_client import PROMPT, OpenpiClient
from ocrrl.policies.remote.remote_config import RemoteConfig, words_of
from ocrrl.policies.remote.remote_vla import RemoteVLA
from ocrrl.policies.remote.tokens import read_token
from ocrrl.policies.remote.vla_file import RemoteModel, identity_of, plain

MOST_METADATA = 2**20
"""Characters of JSON that vla.json takes of a server's description."""
Sizes = Mapping[str, tuple[int, int]]
"""Height and width [pixel] of this robot's images, by camera."""


def open_client(protocol: str, address: str, token: str) -> Client:
    """A client of the server at `address`, which may be `env:NAME`, with the token kept at `token`; it is not connected yet."""
    addresses, secret = resolve_address(protocol, address), read_token(token) if token else None
    return Gr00tClient(addresses[0], secret) if protocol == "gr00t" else OpenpiClient(addresses, secret)


def agree(config: RemoteConfig, vla: str, sizes: Sizes) -> RemoteModel:
    """The model for the VLA of the pipeline named `vla`, whose server has answered one question about a robot at rest.

    `sizes` are the images that this robot takes. Raises ValueError that begins with the field of `policy` for what does not
    fit, PolicyFault for a server that fails.
    """
    address = config.address_of(vla)
    client = open_client(config.protocol, address, config.token)
    try:
        served = client.connect(config.timeout)
        model = model_of(config, address, served, sizes)
        RemoteVLA(model, client, form_of(model)).try_out(_instruction(served.contract))
        return model
    finally:
        client.close()


def model_of(config: RemoteConfig, address: str, served: Served, sizes: Sizes) -> RemoteModel:
    """The model that `config` and what was `served` make; ValueError that begins with the field for what does not fit."""
    told = served.contract
    cameras = _cameras(config, served, sizes)
    state = {bare(key, "state"): words_of(words) for key, words in config.state.items()} or dict(
        told.state if told else {}
    )
    _require_known("policy.state", tuple(state), served.keys.get("state"), every=True)
    prompts = served.keys.get("prompt", ())
    prompt = config.prompt or (told and told.prompt) or (prompts[0] if len(prompts) == 1 else _usual_prompt(served))
    _require_known("policy.prompt", (prompt,), prompts, every=False)
    actions = config.actions or (told.actions if told else {})
    form = action_form(actions, "policy.actions")
    _require_known("policy.actions", tuple(form.keys), served.keys.get("actions"), every=False)
    chunk_size = config.chunk_size or (told.chunk_size if told else 0)
    if chunk_size < 1:
        rows = f" (its answers have {served.chunk_size} rows)" if served.chunk_size else ""
        raise ValueError(
            f"policy.chunk_size must be given: how many control steps at 20 Hz an answer of the server lasts{rows}"
        )
    steps = config.n_action_steps or (told.n_action_steps if told else chunk_size)
    if steps > chunk_size:
        raise ValueError(f"policy.n_action_steps must be at most chunk_size, {chunk_size}, got {steps}")
    metadata = plain(served.metadata)
    if (size := len(json.dumps(metadata))) > MOST_METADATA:
        raise ValueError(
            f"the server at {address} must describe itself in at most {MOST_METADATA} characters, got {size}"
        )
    return RemoteModel(
        protocol=config.protocol,
        address=address,
        token=config.token,
        cameras=cameras,
        state=state,
        prompt=prompt,
        actions=dict(actions),
        chunk_size=chunk_size,
        n_action_steps=steps,
        timeout=config.timeout,
        first_timeout=config.first_timeout,
        version=served.version,
        metadata=metadata,
        identity=identity_of(served),
    )


def open_model(model: RemoteModel) -> RemoteVLA:
    """The VLA of `vla.json`, once its server has answered one question about a robot at rest as it must; PolicyFault otherwise."""
    form = form_of(model)
    vla = RemoteVLA(model, open_client(model.protocol, model.address, model.token), form)
    try:
        vla.ready()
        vla.try_out(_instruction(contract_in(model.metadata)))
    except PolicyFault:
        vla.close()
        raise
    return vla


def form_of(model: RemoteModel) -> ActionForm:
    return action_form(model.actions, "actions")


def _cameras(config: RemoteConfig, served: Served, sizes: Sizes) -> dict[str, Camera]:
    wanted = served.contract.cameras if served.contract else {}
    keys = {name: bare(key, "cameras") for name, key in config.cameras.items()} or {
        name: camera.key for name, camera in wanted.items()
    }
    if not keys:
        named = served.keys.get("cameras")
        takes = f"; the server takes {', '.join(named)}" if named else ""
        raise ValueError(
            f"policy.cameras must name the server's key of each camera, such as {{front: KEY}}, got none{takes}"
        )
    if unknown := [name for name in keys if name not in sizes]:
        raise ValueError(
            f"policy.cameras must name cameras of this robot, {', '.join(sizes)}, got {', '.join(unknown)}"
        )
    _require_known("policy.cameras", tuple(keys.values()), served.keys.get("cameras"), every=True)
    by_key = {camera.key: camera.size for camera in wanted.values()}
    for name, key in keys.items():
        if by_key.get(key, sizes[name]) != tuple(sizes[name]):
            raise ValueError(
                f"policy.cameras.{name} must have images of {by_key[key]} pixels (height, width), which the served model takes, "
                f"got {tuple(sizes[name])} from this robot"
            )
    return {name: Camera(key, sizes[name]) for name, key in keys.items()}


def _require_known(where: str, keys: tuple[str, ...], known: tuple[str, ...] | None, every: bool) -> None:
    """ValueError unless the server knows each of `keys` and, with `every`, is sent all that it knows."""
    if not known:
        return
    if unknown := [key for key in keys if key not in known]:
        raise ValueError(f"{where} must name keys of the server, {', '.join(known)}, got {', '.join(unknown)}")
    if every and (missing := [key for key in known if key not in keys]):
        raise ValueError(
            f"{where} must name all keys of the server, {', '.join(known)}, got none for {', '.join(missing)}"
        )


def _instruction(contract: Contract | None) -> str:
    """One that the served model knows, as far as its server tells: the default VLA may know no other."""
    return contract.instructions[0] if contract and contract.instructions else "pick up the object"


def _usual_prompt(served: Served) -> str:
    return PROMPTS.get(served.version, PROMPT)
