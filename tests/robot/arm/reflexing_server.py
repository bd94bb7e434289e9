"""franka-sim's arm, which raises reflexes as a robot does: `PYTHON reflexing_server.py ADDRESS`, its MJCF in FR3_MJCF.

PYTHON has franka-sim and need not have anything of ours. "ready" is printed when the server listens. Each line on standard
input pushes the hand sideways, until the robot's own check of its joint velocities ends the motion, and prints "pushed".
"""

import logging
import sys
import threading
import time

import mujoco
import numpy as np
from franka_sim import FrankaSimServer
from franka_sim.franka_protocol import RobotMode

PUSH = 500.0  # [N]
PUSH_FOR = 2.0  # [s] at most
PUSHED = "fr3_link7"
FLANGE = 0.107  # [m] from the last joint
HAND_FROM_FLANGE, HAND_YAW = 0.1034, -np.pi / 4  # [m], [rad]; a robot knows from Desk which hand it has


class RobotWithHand(FrankaSimServer):
    """Knows of its hand from the start, and that it is on the flange; franka-sim takes the last joint for the flange."""

    def reset_state(self):
        super().reset_state()
        hand = np.eye(4)
        hand[:2, :2] = [[np.cos(HAND_YAW), -np.sin(HAND_YAW)], [np.sin(HAND_YAW), np.cos(HAND_YAW)]]
        hand[2, 3] = HAND_FROM_FLANGE
        self.robot_state.state["F_T_NE"] = hand.ravel(order="F").tolist()
        self._refresh_ee_transform()
        hand[2, 3] += FLANGE
        self.physics_sim.update_ee_transform(hand.ravel(order="F").tolist())

    def push(self):
        model, data = self.physics_sim.model, self.physics_sim.data
        body = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, PUSHED)
        end = time.monotonic() + PUSH_FOR
        while self.robot_state.state["robot_mode"] != RobotMode.kReflex and time.monotonic() < end:
            data.xfrc_applied[body, 1] = PUSH
            time.sleep(0.001)
        data.xfrc_applied[body, 1] = 0.0


def push_when_told(server):
    while not (server.gripper_server.running and server.physics_sim.running):
        time.sleep(0.05)
    print("ready", flush=True)
    for _ in sys.stdin:
        server.push()
        print("pushed", flush=True)


def main():
    logging.basicConfig(level=logging.INFO)  # says of every motion that it was asked for
    server = RobotWithHand(host=sys.argv[1], enforce_motion_limits=True, enforce_comm_constraints=False)
    threading.Thread(target=push_when_told, args=(server,), daemon=True).start()
    server.start()


if __name__ == "__main__":
    main()
