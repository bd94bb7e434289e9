"""A VLA on a policy server: `interface.protocols.VLA` whose chunks come from elsewhere, each answer checked before it is used.

Legend: n robots, H actions in a chunk, d numbers of one of the server's action keys.
"""

import threading
import time
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float

from ocrrl.interface.actions import limit
from ocrrl.interface.observations import GRIPPER_DOWN, MAX_GRIPPER_WIDTH, WORKSPACE_CENTRE, Images, RobotState
from ocrrl.interface.protocols import PolicyFault
from ocrrl.policies.action_forms.action_form import ActionForm
from ocrrl.policies.remote.client import Client, Question, Served, ServerLost, ServerSilent
from ocrrl.policies.remote.state_words import state_in_words
from ocrrl.policies.remote.vla_file import RemoteModel, identity_of

_RETRY = 0.1  # [s] from one attempt to renew a lost connection to the next


class RemoteVLA:
    """Asks the server that `model` describes. Failures are `PolicyFault`s; one caller at a time is served, the others wait.

    A lost connection is renewed, and the question asked again, for `model.timeout` seconds. After any other failure the next
    question connects anew; each new connection must lead to the same model.
    """

    def __init__(
        self,
        model: RemoteModel,
        client: Client,
        form: ActionForm,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """`form` is that of `model.actions`; `ready` or a question connects."""
        self.model, self.chunk_size, self.n_action_steps = model, model.chunk_size, model.n_action_steps
        self._client, self._form, self._clock, self._sleep = client, form, clock, sleep
        self._connected = False
        self._lock = threading.Lock()

    def ready(self) -> None:
        """Return once the server answers and serves the model of vla.json; PolicyFault where it does not within `timeout`."""
        with self._lock:
            self._connected = False
            self._until(self._clock() + self.model.timeout, lambda remaining: None)

    def try_out(self, instruction: str) -> None:
        """Ask one question about a robot at rest, for `first_timeout`: PolicyFault unless the answer could be acted from."""
        state = np.concatenate([WORKSPACE_CENTRE, GRIPPER_DOWN, [MAX_GRIPPER_WIDTH]])[None]
        noise = np.random.default_rng(0)
        images = {
            name: noise.integers(0, 256, (1, *camera.size, 3), np.uint8) for name, camera in self.model.cameras.items()
        }
        self._predict(images, RobotState.at_rest(state), instruction, self.model.first_timeout)

    def predict_chunk(self, images: Images, robot: RobotState, instruction: str) -> Float[np.ndarray, "n H 7"]:
        """The next H actions for each of n robots, float32, within the step limits.

        Raises ValueError for images that the model does not take, PolicyFault where the server fails or answers what cannot
        be acted from.
        """
        return self._predict(images, robot, instruction, self.model.timeout)

    def close(self) -> None:
        """Let go of the server."""
        self._client.close()

    def _predict(
        self, images: Images, robot: RobotState, instruction: str, timeout: float
    ) -> Float[np.ndarray, "n H 7"]:
        question = self._question(images, robot, instruction)
        with self._lock:
            answer = self._until(self._clock() + timeout, lambda remaining: self._client.ask(question, remaining))
        actions = {key: self._numbers(answer, key, width, len(question)) for key, width in self._form.keys.items()}
        try:
            chunk = self._form.to_steps(actions, robot)
        except ValueError as error:
            raise PolicyFault(f"{self._subject}: {error}") from error
        if chunk.shape[1] < self.chunk_size:
            raise PolicyFault(
                f"{self._subject}: an answer must have {self.chunk_size} actions (chunk_size), got {chunk.shape[1]}: run "
                "`ocrrl finetune` again if the server's chunks are shorter now"
            )
        return limit(chunk[:, : self.chunk_size]).astype(np.float32)

    def _question(self, images: Images, robot: RobotState, instruction: str) -> Question:
        for name, camera in self.model.cameras.items():
            if name not in images:
                raise ValueError(
                    f"images must hold the cameras {', '.join(self.model.cameras)}, got {', '.join(images)}"
                )
            if images[name].shape[1:] != (*camera.size, 3):
                raise ValueError(
                    f"images of camera {name} must have shape (n, {camera.size[0]}, {camera.size[1]}, 3), as vla.json says, got "
                    f"{images[name].shape}"
                )
        return Question(
            {camera.key: images[name] for name, camera in self.model.cameras.items()},
            {key: state_in_words(robot, words) for key, words in self.model.state.items()},
            self.model.prompt,
            instruction,
        )

    def _until[T](self, deadline: float, ask: Callable[[float], T]) -> T:
        """What `ask` gets of the server, connected anew and asked again until `deadline` where the connection is lost.

        Where time runs out on that, the loss is said, which tells more.
        """
        lost: ServerLost | None = None
        while True:
            try:
                if not self._connected:
                    self._require_same(self._client.connect(deadline - self._clock()))
                    self._connected = True
                return ask(deadline - self._clock())
            except ServerLost as error:
                self._connected, lost = False, error
                if self._clock() + _RETRY >= deadline:
                    raise
                self._sleep(_RETRY)
            except PolicyFault as error:
                self._connected = False
                if lost is not None and isinstance(error, ServerSilent):
                    raise lost from None
                raise

    def _require_same(self, served: Served) -> None:
        if (found := identity_of(served)) != self.model.identity:
            raise PolicyFault(
                f"{self._subject} must serve the model that vla.json names ({self.model.identity}), got {found}: serve that one, or "
                "run `ocrrl finetune` again for the new one"
            )

    def _numbers(
        self, answer: Mapping[str, np.ndarray], key: str, width: int, count: int
    ) -> Float[np.ndarray, "n h d"]:
        """`answer[key]` as (n, h, d): an older GR00T server leaves out axes of length 1."""
        if key not in answer:
            raise PolicyFault(
                f"{self._subject}: an answer must have {', '.join(self._form.keys)}, as `actions` in the `policy` section says, got "
                f"{', '.join(map(str, answer)) or 'none'}"
            )
        found = np.asarray(answer[key])
        rows = found.size // max(1, count * width)
        if [size for size in found.shape if size != 1] != [size for size in (count, rows, width) if size != 1]:
            raise PolicyFault(
                f"{self._subject}: {key} must be of shape ({count}, H, {width}), got {found.shape}; `actions` in the `policy` section "
                "says what the server answers"
            )
        if not np.isfinite(found).all():
            raise PolicyFault(f"{self._subject}: {key} must be finite, got NaN or infinity: the served model is broken")
        return found.reshape(count, rows, width).astype(np.float64)

    @property
    def _subject(self) -> str:
        return f"the policy server at {self.model.address} ({self.model.protocol})"
