"""A person who steps in during a rollout: while they hold the device's button they move the arm in the policies' place."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from ocrrl.interface.observations import Observation
from ocrrl.interface.protocols import Capture, PolicyFault
from ocrrl.robot.teleoperation.device import DeviceReading, TeleoperationDevice


class DeviceIntervener:
    """`interface.protocols.Intervener` of one arm."""

    def __init__(self, device: TeleoperationDevice) -> None:
        self._device = device

    def ready(self) -> None:
        """Raises PolicyFault where the device is lost: before an episode, nothing moves then."""
        self._read()

    def reset(self, ids: Int[np.ndarray, " 1"], seeds: Sequence[int]) -> None:
        """As `interface.protocols.Intervener`."""
        (seed,) = seeds
        self._device.begin(int(seed))

    def act(
        self,
        observation: Observation,
        ids: Int[np.ndarray, " 1"],
        capture: Capture,
        openings: Float[np.ndarray, " 1"],
    ) -> tuple[Bool[np.ndarray, " 1"], Float[np.ndarray, "1 7"]]:
        """As `interface.protocols.Intervener`; its gripper button counts from where the policy left the fingers.

        PolicyFault where the device is lost, also while the policy acts: nobody could step in any more.
        """
        reading = self._read()
        if not reading.take_over:
            self._device.follow(float(openings[0]))
        return np.array([reading.take_over]), reading.motion[None]

    def _read(self) -> DeviceReading:
        try:
            return self._device.read()
        except RuntimeError as error:
            raise PolicyFault(str(error)) from error
