"""What our clients send decodes to what the servers' own clients send."""

from ocrrl.policies.remote.client import Question
from ocrrl.policies.remote.gr00t_client import FLAT, Gr00tClient, observed
from ocrrl.policies.remote.openpi_client import observed as observed_by_openpi
from ocrrl.policies.remote.tokens import Token
from ocrrl.policies.remote.wire import pack_gr00t, pack_openpi, unpack_gr00t, unpack_openpi
from tests.policies.remote.recorded_messages import recorded
from tests.policies.remote.served import scripted_gr00t
from tests.policies.remote.test_wire import same


def test_requests_of_ours_decode_to_what_the_servers_own_clients_send():
    for version, name in ((FLAT, "gr00t_n15_action_batch3"), ("n1.6", "gr00t_n16_action_batch3")):
        message = unpack_gr00t(recorded(f"{name}.request"))
        data = message["data"]
        if version == FLAT:
            images = {key: data[f"video.{key}"][:, 0] for key in ("front", "wrist")}
            state = {key: data[f"state.{key}"][:, 0] for key in ("eef_position", "eef_rotation", "gripper_position")}
            prompt = "annotation.human.action.task_description"
        else:
            part = data["observation"]
            images, state = ({key: value[:, 0] for key, value in part[kind].items()} for kind in ("video", "state"))
            prompt = "annotation.human.task_description"
        question = Question(images, state, prompt, "lift the cuboid")
        same(unpack_gr00t(pack_gr00t(observed(question, version))), data)
    message = unpack_openpi(recorded("openpi_infer.request"))
    images = {key: message[key][None] for key in ("observation/image", "observation/wrist_image")}
    question = Question(images, {"observation/state": message["observation/state"][None]}, "prompt", "lift the cuboid")
    same(unpack_openpi(pack_openpi(observed_by_openpi(question, batched=False))), message)


def test_the_client_asks_as_the_recorded_requests_do():
    sent = []
    replies = {
        "ping": recorded("gr00t_n15_ping.reply"),
        "get_modality_config": recorded("gr00t_n15_modality.reply"),
        "get_action": recorded("gr00t_n15_action_batch3.reply"),
    }

    def answer(data):
        sent.append(data)
        return replies[unpack_gr00t(data)["endpoint"]]

    with scripted_gr00t(answer) as address:
        client = Gr00tClient(address, Token("secret"))
        served_model = client.connect(1.0)
        assert (served_model.version, served_model.chunk_size) == (FLAT, 16)
        assert served_model.keys["cameras"] == ("front", "wrist")
        data = unpack_gr00t(recorded("gr00t_n15_action_batch3.request"))["data"]
        images = {key: data[f"video.{key}"][:, 0] for key in ("front", "wrist")}
        state = {key: data[f"state.{key}"][:, 0] for key in ("eef_position", "eef_rotation", "gripper_position")}
        question = Question(images, state, "annotation.human.action.task_description", "lift the cuboid")
        actions = client.ask(question, 1.0)
        assert {key: value.shape for key, value in actions.items()} == {
            "eef_position_delta": (3, 16, 3),
            "eef_rotation_delta": (3, 16, 3),
            "gripper_position": (3, 16, 1),
        }
        client.close()
    for data, name in zip(sent, ("ping", "modality", "action_batch3"), strict=True):
        same(unpack_gr00t(data), unpack_gr00t(recorded(f"gr00t_n15_{name}.request")))
