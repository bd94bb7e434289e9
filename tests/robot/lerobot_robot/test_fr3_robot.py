"""LeRobot's own record loop drives our arm through the gate, and what it wrote can be ingested."""

import numpy as np
import pytest
from lerobot.utils.errors import DeviceAlreadyConnectedError, DeviceNotConnectedError

from ocrrl.episodes.episode_store import read_episode
from ocrrl.interface.actions import ACTION_NAMES, CONTROL_HZ, MAX_TRANSLATION_STEP
from ocrrl.interface.fr3_chain import FR3
from ocrrl.interface.frames import Frame, Intrinsics
from ocrrl.recordings.ingest import ingest
from ocrrl.recordings.ingest_config import IngestConfig
from ocrrl.robot import lerobot_robot
from ocrrl.robot.lerobot_robot.fr3_robot import OpenedCell
from ocrrl.robot.operator.approval import NotApproved
from ocrrl.robot.safety.safety_limits import SafetyLimits
from ocrrl.tabletop.cube_lift import TASK as CUBE_LIFT
from tests.robot.cell.scripted_arm import HOME, ScriptedArm
from tests.robot.teleoperation.played_device import PlayedDevice

HEIGHT, WIDTH = 48, 64


class PassingArm(ScriptedArm):
    """Time passes by a control period with each command."""

    def command(self, command):
        applied = super().command(command)
        self.pass_time(1 / CONTROL_HZ)
        return applied


class Camera:
    def __init__(self, height=HEIGHT):
        self.height, self.taken, self.closed, self.lost = height, 0, False, False

    def latest(self):
        if self.lost:
            raise RuntimeError("the camera was unplugged")
        self.taken += 1
        colour = np.full((self.height, WIDTH, 3), 10 * self.taken % 256, np.uint8)
        depth = np.ones((self.height, WIDTH), np.float32)
        return Frame(colour, depth, 0.0, Intrinsics(WIDTH, self.height, 60.0, 60.0, 32.0, 24.0), HOME)

    def close(self):
        self.closed = True


class Stop:
    pressed = closed = False

    def close(self):
        self.closed = True


class Rig:
    def __init__(self, tmp_path, **settings):
        self.arm, self.camera, self.stop, self.enabled = PassingArm(), Camera(), Stop(), True
        self.faults, self.lock = [], Stop()
        self.limits = settings.pop("limits", SafetyLimits())
        images = {"front": lerobot_robot.ImageConfig(WIDTH, HEIGHT)}
        config = {
            "cell": tmp_path / "cell.yaml",
            "cameras": images,
            "calibration_dir": tmp_path,
            "id": "lab",
        } | settings
        self.robot = lerobot_robot.FR3Robot(lerobot_robot.FR3RobotConfig(**config), self.open)

    def open(self, config):
        cameras = {"front": self.camera}
        parts = (self.stop, self.faults.append, self.lock)
        return OpenedCell(self.arm, self.limits, FR3, lambda: self.enabled, cameras, *parts)


@pytest.fixture
def rig(tmp_path):
    rig = Rig(tmp_path)
    rig.robot.connect()
    yield rig
    if rig.robot.is_connected:
        rig.robot.disconnect()


def action(*numbers):
    return dict(zip(ACTION_NAMES, numbers, strict=True))


FORWARD = action(0.01, 0.0, 0.0, 0.0, 0.0, 0.02, 1.0)


def test_an_action_is_one_step_of_the_commanded_pose_and_what_was_applied_comes_back(rig):
    sent = rig.robot.send_action(FORWARD)
    assert sent == pytest.approx(FORWARD, abs=1e-9)
    rig.robot.send_action(FORWARD)
    commands = [told for told in rig.arm.received if not isinstance(told, str)]
    np.testing.assert_allclose([c.pose[0] - HOME[0] for c in commands], [0.01, 0.02], atol=1e-9)


def test_an_action_is_as_old_as_the_observation_it_answers(rig):
    rig.robot.get_observation()
    rig.arm.pass_time(0.5)  # a policy that thinks for long
    assert rig.robot.send_action(FORWARD)["dx"] == 0.0
    assert [fault.cause for fault in rig.faults] == ["stale_command"]
    rig.robot.get_observation()
    assert rig.robot.send_action(FORWARD)["dx"] == pytest.approx(0.01)


def test_an_action_beyond_the_limits_comes_back_as_what_was_applied(rig):
    sent = rig.robot.send_action(FORWARD | {"dx": 0.5, "gripper": 3.0})
    assert sent["dx"] == pytest.approx(MAX_TRANSLATION_STEP) and sent["gripper"] == 1.0


def test_what_the_gate_refuses_is_no_motion_and_the_arm_goes_on_afterwards(rig):
    rig.enabled = False
    sent = rig.robot.send_action(FORWARD)
    assert sent == pytest.approx(action(0, 0, 0, 0, 0, 0, 1.0)) and rig.arm.received == ["hold"]
    assert [fault.cause for fault in rig.faults] == ["not_enabled"]
    rig.enabled = True
    assert rig.robot.send_action(FORWARD)["dx"] == pytest.approx(0.01)


def test_a_stopped_arm_is_an_error_and_not_a_recording_of_nothing(rig):
    rig.robot._gate.stop()
    with pytest.raises(RuntimeError, match="must be recovered by its operator"):
        rig.robot.send_action(FORWARD)


def test_the_stop_key_holds_the_arm_at_once_and_ends_what_lerobot_does(rig):
    rig.robot.send_action(FORWARD)
    rig.stop.pressed = True
    rig.robot._gate.watch()
    assert rig.arm.received[-1] == "hold" and rig.robot._gate.faults[-1].cause == "not_enabled"
    with pytest.raises(RuntimeError, match="the operator stopped the arm"):
        rig.robot.send_action(FORWARD)
    assert rig.arm.received[-1] == "stop"


def test_a_pause_is_survived_holding_and_the_arm_goes_on_from_where_it_is(rig):
    rig.robot.send_action(FORWARD)
    rig.arm.pass_time(60.0)
    rig.robot._gate.watch()
    rig.arm.pass_time(59.0)
    rig.robot._gate.watch()
    assert "stop" not in rig.arm.received and rig.arm.received[-1] == "hold"
    assert rig.robot.send_action(FORWARD)["dx"] == pytest.approx(0.01)


def test_observations_are_named_numbers_and_images_and_no_object_is_among_them(rig):
    seen = rig.robot.get_observation()
    assert (
        set(seen)
        == set(rig.robot.observation_features)
        == {
            *("x", "y", "z", "qw", "qx", "qy", "qz", "gripper_width"),
            *(f"joint_{k}" for k in range(1, 8)),
            "front",
        }
    )
    np.testing.assert_allclose([seen["x"], seen["y"], seen["z"]], HOME[:3])
    assert seen["front"].shape == rig.robot.observation_features["front"] == (HEIGHT, WIDTH, 3)


def test_connecting_moves_nothing_and_disconnecting_stops_and_closes(rig):
    assert rig.arm.received == []
    with pytest.raises(DeviceAlreadyConnectedError):
        rig.robot.connect()
    rig.robot.disconnect()
    assert rig.arm.received == ["stop", "close"] and rig.camera.closed and rig.stop.closed and rig.lock.closed
    for call in (rig.robot.get_observation, rig.robot.disconnect):
        with pytest.raises(DeviceNotConnectedError):
            call()


def test_every_part_is_let_go_of_whatever_another_says(rig):
    def fails():
        raise OSError("no such terminal")

    rig.arm.unreachable = True
    rig.stop.close = fails
    with pytest.raises(RuntimeError, match="connection lost; no such terminal"):
        rig.robot.disconnect()
    assert rig.arm.received == ["close"] and rig.camera.closed and rig.lock.closed and not rig.robot.is_connected


def test_without_an_approval_nothing_is_opened(tmp_path):
    rig = Rig(tmp_path)

    def refuse(config):
        raise NotApproved("cell fr3 moves only with an operator's approval, got none")

    rig.robot._open_cell = refuse
    with pytest.raises(NotApproved):
        rig.robot.connect()
    assert not rig.robot.is_connected and rig.arm.received == []


def test_a_cell_whose_cameras_are_others_is_closed_again(tmp_path):
    for settings, error in (
        ({"cameras": {"side": lerobot_robot.ImageConfig(WIDTH, HEIGHT)}}, "camera must be one of front, got side"),
        ({"cameras": {"front": lerobot_robot.ImageConfig(640, 480)}}, "camera front must be 640 x 480, got 64 x 48"),
    ):
        rig = Rig(tmp_path, **settings)
        with pytest.raises(ValueError, match=error):
            rig.robot.connect()
        assert rig.arm.received == ["close"] and rig.camera.closed


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"dx": float("nan")}, "action must be finite"),
        ({"gripper": None}, "got none of gripper"),
    ],
)
def test_a_malformed_action_is_refused(rig, wrong, error):
    given = {name: value for name, value in (FORWARD | wrong).items() if value is not None}
    with pytest.raises(ValueError, match=error):
        rig.robot.send_action(given)
    assert rig.arm.received == []


def test_lerobot_finds_both_plugins_by_their_names(tmp_path):
    from lerobot.configs.parser import load_plugin
    from lerobot.robots import RobotConfig, make_robot_from_config
    from lerobot.teleoperators import TeleoperatorConfig, make_teleoperator_from_config

    load_plugin("ocrrl.robot.lerobot_robot")
    robot = RobotConfig.get_choice_class("fr3")(cell=tmp_path / "cell.yaml", calibration_dir=tmp_path)
    assert isinstance(make_robot_from_config(robot), lerobot_robot.FR3Robot) and robot.type == "fr3"
    teleoperator = TeleoperatorConfig.get_choice_class("ocrrl_device")(device="gamepad", calibration_dir=tmp_path)
    assert isinstance(make_teleoperator_from_config(teleoperator), lerobot_robot.OcrrlDevice)
    with pytest.raises(ValueError, match="device must be one of spacemouse, gamepad, got 'wand'"):
        TeleoperatorConfig.get_choice_class("ocrrl_device")(device="wand")


def test_lerobot_s_record_loop_records_a_dataset_that_ingest_accepts(tmp_path):
    from lerobot.datasets import LeRobotDataset, aggregate_pipeline_dataset_features, create_initial_features
    from lerobot.processor import make_default_processors
    from lerobot.scripts.lerobot_record import record_loop
    from lerobot.utils.feature_utils import combine_feature_dicts

    rig = Rig(tmp_path / "robot")
    motions = [np.array([0.0005 * k, 0, 0, 0, 0, 0.01, 1.0 - k % 2]) for k in range(30)]
    config = lerobot_robot.OcrrlDeviceConfig(calibration_dir=tmp_path / "teleop")
    hand = lerobot_robot.OcrrlDevice(config, lambda config: PlayedDevice(motions))
    processors = make_default_processors()
    of_action, _, of_observation = processors
    features = combine_feature_dicts(
        aggregate_pipeline_dataset_features(
            of_action, create_initial_features(action=rig.robot.action_features), use_videos=False
        ),
        aggregate_pipeline_dataset_features(
            of_observation, create_initial_features(observation=rig.robot.observation_features), use_videos=False
        ),
    )
    assert not [key for key in features if "object" in key]
    root = tmp_path / "recordings" / "lab"
    dataset = LeRobotDataset.create("lab/cube", CONTROL_HZ, features, root=root, robot_type="fr3", use_videos=False)
    hand.connect()
    rig.robot.connect()
    record_loop(
        rig.robot,
        {"exit_early": False},
        CONTROL_HZ,
        *processors,
        dataset=dataset,
        teleop=hand,
        control_time_s=1.0,
        single_task=CUBE_LIFT.instruction,
    )
    dataset.save_episode()
    dataset.finalize()
    rig.robot.disconnect()
    hand.disconnect()
    commands = [told for told in rig.arm.received if not isinstance(told, str)]
    assert len(commands) >= 4 and rig.arm.received[-2:] == ["stop", "close"]

    mapping = {
        "cell": "lab",
        "images": {"front": "observation.images.front"},
        "position": "observation.state[x,y,z]",
        "rotation": "observation.state[qw,qx,qy,qz]",
        "rotation_form": "quaternion_wxyz",
        "gripper_width": "observation.state[gripper_width]",
        "gripper_command": "action[gripper]",
        "joint_positions": "observation.state[" + ",".join(f"joint_{k}" for k in range(1, 8)) + "]",
        "actions": "deltas",
        "steps": "action[dx,dy,dz,drx,dry,drz]",
    }
    out = [tmp_path / name for name in ("dataset", "normalised", "report.json")]
    summary = ingest(root.parent, CUBE_LIFT, *out, IngestConfig(source_format="lerobot", mapping=mapping))
    assert len(summary.accepted) == 1
    episode = read_episode(tmp_path / "normalised" / summary.accepted[0])
    assert len(episode) == len(commands)
    np.testing.assert_allclose(episode.action, motions[: len(episode)], atol=1e-6)
    np.testing.assert_allclose(episode.gripper_pose[0, :3], HOME[:3], atol=1e-6)
