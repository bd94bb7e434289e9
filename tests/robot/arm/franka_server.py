"""franky-sim's arm on a loopback address, which is printed once it listens: `python -m tests.robot.arm.franka_server`."""

import sys

from franky_sim import LocalHostnames, SimulationServer
from franky_sim.mujoco_simulator import MujocoSimulator

from ocrrl.interface.tabletop_tasks import HOME_JOINTS


def main() -> None:
    simulator = MujocoSimulator()
    simulator.add_robot(initial_q=HOME_JOINTS)
    with simulator, SimulationServer(simulator, LocalHostnames()) as server:
        print(server.robot_servers[0].hostname, flush=True)
        sys.stdout.close()
        server.run_forever()


if __name__ == "__main__":
    main()
