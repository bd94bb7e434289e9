"""The arm process of the wire twin: franky-sim's servers over a scene (`python -m ocrrl.robot.wire_twin.arm_server`).

It prints one line of JSON with its addresses, all of this machine: `robot` for franky, `state` (PUB, twenty times a
second of simulated time: {time, qpos, solved}) for the cameras and the judge, `table` (REP: {seed} to set the table).
"""

import argparse
import json

import msgpack
import zmq
from franky_sim import LocalHostnames, SimulationServer

from ocrrl.robot.wire_twin.processes import add_parent_argument, end_with
from ocrrl.robot.wire_twin.scene_simulator import SceneSimulator, scene_at

LOOPBACK = "tcp://127.0.0.1"
STEPS_A_MESSAGE = 20
STEPS_A_REQUEST = 5


class TableServer:
    """Publishes the state and answers whoever sets the table, between two steps of the simulation."""

    def __init__(self, simulator: SceneSimulator) -> None:
        context = zmq.Context.instance()
        self._simulator = simulator
        self._state, self._table = context.socket(zmq.PUB), context.socket(zmq.REP)
        self.state = f"{LOOPBACK}:{self._state.bind_to_random_port(LOOPBACK)}"
        self.table = f"{LOOPBACK}:{self._table.bind_to_random_port(LOOPBACK)}"
        self._steps = 0

    def after_step(self, _: object) -> None:
        """For franky-sim's callback after each step."""
        self._steps += 1
        if self._steps % STEPS_A_REQUEST == 0 and self._table.poll(0):
            request = msgpack.unpackb(self._table.recv())
            self._simulator.place(int(request["seed"]))
            self._table.send(msgpack.packb({"time": self._simulator.time}))
        if self._steps % STEPS_A_MESSAGE == 0:
            simulator = self._simulator
            message = {"time": simulator.time, "qpos": simulator.qpos.tolist(), "solved": simulator.solved()}
            self._state.send(msgpack.packb(message))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", required=True, help="its class, such as ocrrl.tabletop.cube_lift:Scene")
    parser.add_argument("--speed", type=float, default=1.0, help="of the simulated clock beside the wall's, at most")
    add_parent_argument(parser)
    options = parser.parse_args()
    end_with(options.parent)
    simulator = SceneSimulator(scene_at(options.scene))
    table = TableServer(simulator)
    simulator.register_post_step_callback(table.after_step)
    with simulator, SimulationServer(simulator, LocalHostnames()) as server:
        addresses = {"robot": server.robot_servers[0].hostname, "state": table.state, "table": table.table}
        print(json.dumps(addresses), flush=True)
        server.run_forever(1.0 / options.speed)  # its argument scales the wall time of a step


if __name__ == "__main__":
    main()
