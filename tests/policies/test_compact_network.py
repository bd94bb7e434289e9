import pytest
import torch

from ocrrl.policies.compact_architecture import CompactArchitecture
from ocrrl.policies.compact_network import CompactNetwork, SpatialSoftmax, tensor_shapes


def inputs(batch: int, cameras: tuple[str, ...], height: int = 32, width: int = 48):
    generator = torch.Generator().manual_seed(0)
    return (
        {camera: torch.rand((batch, 3, height, width), generator=generator) - 0.5 for camera in cameras},
        torch.randn((batch, 8), generator=generator),
        torch.randn((batch, 384), generator=generator),
    )


def test_a_chunk_of_actions_comes_out_for_each_of_the_batch():
    network = CompactNetwork(CompactArchitecture({"front": (32, 48), "wrist": (32, 48)}, chunk_size=5))
    assert network(*inputs(3, ("front", "wrist"))).shape == (3, 5, 7)


def test_spatial_softmax_reads_where_a_map_peaks():
    features = torch.full((1, 2, 5, 9), -50.0)
    features[0, 0, 0, 8] = features[0, 1, 2, 4] = 50.0
    reader = SpatialSoftmax(channels=2, keypoints=2)
    reader.maps.weight.data = torch.eye(2)
    x, y = reader(features).unflatten(1, (2, 2)).unbind(2)
    assert torch.allclose(x, torch.tensor([[1.0, 0.0]]), atol=1e-6)
    assert torch.allclose(y, torch.tensor([[-1.0, 0.0]]), atol=1e-6)


def test_the_order_in_which_cameras_are_named_does_not_matter():
    torch.manual_seed(0)
    one = CompactNetwork(CompactArchitecture({"front": (32, 48), "wrist": (32, 48)}))
    other = CompactNetwork(CompactArchitecture({"wrist": (32, 48), "front": (32, 48)}))
    other.load_state_dict(one.state_dict())
    images, state, instruction = inputs(2, ("front", "wrist"))
    assert torch.equal(one(images, state, instruction), other(dict(reversed(images.items())), state, instruction))


def test_the_instruction_reaches_the_actions():
    network = CompactNetwork(CompactArchitecture({"front": (32, 48)}))
    images, state, instruction = inputs(2, ("front",))
    assert not torch.allclose(network(images, state, instruction), network(images, state, -instruction))


def test_proprioception_far_outside_the_training_set_is_bounded():
    network = CompactNetwork(CompactArchitecture({"front": (32, 48)}))
    images, state, instruction = inputs(2, ("front",))
    assert torch.equal(network(images, state * 0 + 5.0, instruction), network(images, state * 0 + 900.0, instruction))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cameras": {}}, "compact_vla.cameras must name at least one camera, got none"),
        ({"cameras": {"front": (60, 64)}}, r"multiples of 8 from 16 to 4096, got \(60, 64\) of front: declare"),
        ({"hidden": 0}, "compact_vla.hidden must be a whole number from 1 to 8192, got 0"),
    ],
)
def test_an_impossible_architecture_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        CompactArchitecture(**({"cameras": {"front": (64, 64)}} | change))


def test_cameras_may_have_images_of_different_shapes():
    architecture = CompactArchitecture({"front": (96, 128), "wrist": (96, 96)}, chunk_size=5)
    images = {camera: torch.rand(2, 3, *size) - 0.5 for camera, size in architecture.cameras.items()}
    network, (_, state, instruction) = CompactNetwork(architecture), inputs(2, ())
    assert network(images, state, instruction).shape == (2, 5, 7)
    assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == tensor_shapes(architecture)
