"""A module in franky's place: its robot answers for its state, and `asked` lists whatever is asked of robot or hand."""

from enum import Enum
from types import SimpleNamespace

from ocrrl.interface.tabletop_tasks import HOME_JOINTS

RobotMode = Enum("RobotMode", ["Idle", "Move", "Guiding", "Reflex", "UserStopped", "Other"])


class WatchedFranky:
    """`monkeypatch.setitem(sys.modules, "franky", WatchedFranky())`."""

    Exception, RobotMode = OSError, RobotMode
    RealtimeConfig = SimpleNamespace(Enforce="enforce", Ignore="ignore")

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.time, self.joints, self.mode, self.lost = 0.0, list(HOME_JOINTS), RobotMode.Idle, ""
        self.alive = 0

    def Robot(self, host, default_torque_threshold, default_force_threshold, realtime_config):
        thresholds = f"{default_torque_threshold:g} Nm {default_force_threshold:g} N"
        self.asked.append(f"Robot {host} {thresholds} {realtime_config}")
        if self.lost:
            raise OSError(self.lost)
        return _Watched(self)

    def Gripper(self, host):
        self.asked.append(f"Gripper {host}")
        return _Watched(self)

    def state(self):
        if self.lost:
            raise OSError(self.lost)
        now = self.time
        return SimpleNamespace(
            q=list(self.joints), time=SimpleNamespace(to_sec=lambda: now), robot_mode=self.mode, current_errors=[]
        )


class _Watched:
    """Lets nothing be done but that it is noted."""

    def __init__(self, franky: WatchedFranky) -> None:
        self._franky = franky
        franky.alive += 1

    def __del__(self) -> None:
        self._franky.alive -= 1

    def __getattr__(self, name: str):
        self._franky.asked.append(name)
        if name == "state":
            return self._franky.state()
        return lambda *arguments, **named: None
