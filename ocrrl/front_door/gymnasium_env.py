"""Gymnasium environments: `gymnasium.make("ocrrl/CubeLift-v0")` and `gymnasium.make_vec`.

Both call `ocrrl.worlds.make_environment` and change nothing: the same seed and actions give the same numbers as there.
Legend: N environments; observations and actions keep the names, units and frames of `ocrrl.interface`.
"""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from ocrrl.front_door.gymnasium_ids import register_ids
from ocrrl.interface.actions import ACTION_HIGH, ACTION_LOW, CONTROL_HZ
from ocrrl.interface.cameras import CameraSizes
from ocrrl.interface.seeds import RANGES
from ocrrl.params import chosen_cameras
from ocrrl.worlds import make_environment

RENDER_SIZE = 256  # pixels
RENDERED_CAMERA = "front"
PIXELS = "pixels"
_METADATA = {"render_modes": ["rgb_array"], "render_fps": CONTROL_HZ}

Observed = dict[str, Any]
"""Arrays by the names of `interface.observations.Observation`; `pixels`, if asked for, holds images by camera."""


class TabletopEnv(gymnasium.Env[Observed, np.ndarray]):
    """One environment of the tabletop task `task` in `cell` (sim or twin); `pixels` adds every camera's image.

    `cameras` gives each one's height and width [pixel]: without it those of the params.yaml here, or 64 x 64.

    The observation is a dict of float64 arrays (`gripper_width`, a scalar in ours, has shape (1,)); the action is
    `interface.actions`' own, not scaled. `terminated` is success, `truncated` the task's horizon. `reset(seed=s)` gives the
    initial state of our seed s (2,000,000 and on: held-out test states); without a seed one of the training range is drawn.
    `info` holds the initial state's `seed`, and `success`.
    """

    metadata = _METADATA

    def __init__(
        self,
        task: str,
        cell: str = "sim",
        pixels: bool = False,
        render_mode: str | None = None,
        cameras: CameraSizes | None = None,
    ) -> None:
        _require_render_mode(render_mode)
        self._environment = make_environment(cell, task, 1, chosen_cameras(cameras))
        self._pixels, self.render_mode = pixels, render_mode
        self.observation_space = _observation_space(self._environment, pixels)
        self.action_space = _action_space()
        self._ids, self._seed, self._steps = np.arange(1), 0, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observed, dict]:
        super().reset(seed=seed)
        self._seed = _initial_state(seed, self.np_random)
        self._steps = 0
        self._environment.reset(self._ids, [self._seed])
        return self._observe(), _info(self._seed, False)

    def step(self, action: np.ndarray) -> tuple[Observed, float, bool, bool, dict]:
        result = self._environment.step(np.asarray(action)[None], self._ids)
        self._steps += 1
        success = bool(result.success[0])
        truncated = not success and self._steps >= self._environment.tabletop_task.horizon
        return self._observe(), float(result.reward[0]), success, truncated, _info(self._seed, success)

    def render(self) -> np.ndarray | None:  # type: ignore[override]  # Gymnasium's type variable of frames
        """The front camera's image (256, 256, 3), if the environment was made with `render_mode="rgb_array"`."""
        if self.render_mode is None:
            return None
        return self._environment.image(self._ids, RENDER_SIZE, (RENDERED_CAMERA,))[RENDERED_CAMERA][0]

    def close(self) -> None:
        self._environment.close()

    def _observe(self) -> Observed:
        return _row(_observed(self._environment, self._ids, self._pixels), 0)


class TabletopVectorEnv(VectorEnv[Observed, np.ndarray, np.ndarray]):
    """N environments of one tabletop task stepped together; arguments and spaces as for `TabletopEnv`.

    Autoreset is SAME_STEP: where an episode ends, `step` returns the next episode's first observation, and the last one's
    observation and info are in `final_obs` and `final_info`. `reset(seed=s)` gives the initial states s, s + 1, ...; a list
    gives one seed an environment. `max_episode_steps` may shorten the task's horizon.
    """

    def __init__(
        self,
        num_envs: int,
        task: str,
        cell: str = "sim",
        pixels: bool = False,
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        cameras: CameraSizes | None = None,
    ) -> None:
        _require_render_mode(render_mode)
        self._environment = make_environment(cell, task, num_envs, chosen_cameras(cameras))
        self._pixels, self.render_mode, self.num_envs = pixels, render_mode, num_envs
        self.metadata = {**_METADATA, "autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = _observation_space(self._environment, pixels)
        self.single_action_space = _action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        horizon = self._environment.tabletop_task.horizon
        self._horizon = horizon if max_episode_steps is None else min(horizon, max_episode_steps)
        self._ids, self._steps = np.arange(num_envs), np.zeros(num_envs, np.int64)
        self._seeds = [0] * num_envs
        self._generators = [seeding.np_random()[0] for _ in range(num_envs)]

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observed, dict]:
        seeds: Sequence[int | None]
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
            seeds = [int(seed) + i for i in range(self.num_envs)]
        else:
            super().reset()
            seeds = [None] * self.num_envs if seed is None else seed
        if len(seeds) != self.num_envs:
            raise ValueError(f"seed must be one number, or {self.num_envs} of them (num_envs), got {len(seeds)}")
        for i, one in enumerate(seeds):
            if one is not None:
                self._generators[i] = seeding.np_random(one)[0]
        self._begin(self._ids, seeds)
        infos: dict[str, Any] = {}
        for i in range(self.num_envs):
            infos = self._add_info(infos, _info(self._seeds[i], False), i)
        return _observed(self._environment, self._ids, self._pixels), infos

    def step(self, actions: np.ndarray) -> tuple[Observed, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        result = self._environment.step(np.asarray(actions), self._ids)
        self._steps += 1
        terminated = np.array(result.success, bool)
        truncated = ~terminated & (self._steps >= self._horizon)
        observation = _observed(self._environment, self._ids, self._pixels)
        infos: dict[str, Any] = {}
        ended = np.flatnonzero(terminated | truncated)
        for i in ended.tolist():
            final = {"final_obs": _row(observation, i), "final_info": _info(self._seeds[i], bool(terminated[i]))}
            infos = self._add_info(infos, final, i)
        if len(ended):
            self._begin(ended, [None] * len(ended))
            _write_rows(observation, ended, _observed(self._environment, ended, self._pixels))
        for i in range(self.num_envs):
            infos = self._add_info(infos, _info(self._seeds[i], False), i)
        return observation, np.array(result.reward, np.float64), terminated, truncated, infos

    def render(self) -> tuple[np.ndarray, ...] | None:
        """The front camera's image of each environment, if made with `render_mode="rgb_array"`."""
        if self.render_mode is None:
            return None
        return tuple(self._environment.image(self._ids, RENDER_SIZE, (RENDERED_CAMERA,))[RENDERED_CAMERA])

    def close_extras(self, **kwargs: Any) -> None:
        self._environment.close()

    def _begin(self, ids: np.ndarray, seeds: Sequence[int | None]) -> None:
        for i, seed in zip(ids.tolist(), seeds, strict=True):
            self._seeds[i] = _initial_state(seed, self._generators[i])
        self._steps[ids] = 0
        self._environment.reset(ids, [self._seeds[i] for i in ids.tolist()])


def _initial_state(seed: int | None, generator: np.random.Generator) -> int:
    """Our seed of the next initial state: the given one, or one of the training range."""
    return int(generator.integers(RANGES["train"].start, RANGES["train"].stop)) if seed is None else int(seed)


def _info(seed: int, success: bool) -> dict[str, Any]:
    return {"seed": seed, "success": success}


def _observed(environment: Any, ids: np.ndarray, pixels: bool) -> Observed:
    """The observation of the environments `ids` as arrays of their own, one row an environment."""
    observed: Observed = {
        name: np.array(value[ids], np.float64) for name, value in environment.observe().arrays().items()
    }
    observed["gripper_width"] = observed["gripper_width"][:, None]
    return observed | {PIXELS: environment.capture(ids)} if pixels else observed


def _row(observed: Observed, i: int) -> Observed:
    return {name: _row(value, i) if isinstance(value, dict) else value[i].copy() for name, value in observed.items()}


def _write_rows(observed: Observed, ids: np.ndarray, rows: Observed) -> None:
    for name, value in observed.items():
        if isinstance(value, dict):
            _write_rows(value, ids, rows[name])
        else:
            value[ids] = rows[name]


def _action_space() -> spaces.Box:
    return spaces.Box(ACTION_LOW, ACTION_HIGH, dtype=np.float32)


def _observation_space(environment: Any, pixels: bool) -> spaces.Dict:
    observed = _row(_observed(environment, np.arange(1), pixels), 0)
    images = observed.pop(PIXELS, {})
    described: dict[str, spaces.Space] = {
        name: spaces.Box(-np.inf, np.inf, value.shape, np.float64) for name, value in observed.items()
    }
    described["object_confidence"] = spaces.Box(0.0, 1.0, observed["object_confidence"].shape, np.float64)
    if pixels:
        described[PIXELS] = spaces.Dict(
            {camera: spaces.Box(0, 255, image.shape, np.uint8) for camera, image in images.items()}
        )
    return spaces.Dict(described)


def _require_render_mode(render_mode: str | None) -> None:
    if render_mode not in (None, *_METADATA["render_modes"]):
        raise ValueError(f"render_mode must be None or rgb_array, got {render_mode!r}")


register_ids()
