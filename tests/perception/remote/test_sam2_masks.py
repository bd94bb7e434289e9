"""SAM 2 as a masker, with a tiny network of random weights: shapes and the contract, not the quality."""

import numpy as np
import pytest
import torch

from ocrrl.interface import rotations
from ocrrl.perception.remote.sam2_masks import Sam2Masks, pixel_of
from tests.perception.remote.pose_server import HEIGHT, ROBOT, WIDTH, frame_at


@pytest.fixture(scope="module")
def sam2():
    """Model and processor, 64 pixels wide."""
    from transformers import Sam2Config, Sam2ImageProcessor, Sam2Model, Sam2Processor

    side, widths = 64, [8, 16, 32, 64]
    backbone = {
        "hidden_size": 8,
        "image_size": [side, side],
        "blocks_per_stage": [1, 1, 1, 1],
        "embed_dim_per_stage": widths,
        "num_attention_heads_per_stage": [1, 1, 1, 1],
        "window_size_per_stage": [4, 4, 4, 4],
        "global_attention_blocks": [],
        "window_positional_embedding_background_size": [4, 4],
    }
    vision = {
        "backbone_config": backbone,
        "backbone_channel_list": widths[::-1],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "fpn_hidden_size": 32,
    }
    config = Sam2Config(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": 32, "image_size": side},
        mask_decoder_config={
            "hidden_size": 32,
            "mlp_dim": 32,
            "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
    )
    torch.manual_seed(0)
    sizes = {"height": side, "width": side}
    return Sam2Model(config), Sam2Processor(Sam2ImageProcessor(size=sizes, mask_size={"height": 16, "width": 16}))


def test_a_point_becomes_a_mask_of_the_image_s_size(sam2):
    masks = Sam2Masks(*sam2, lambda frame, index, robot: (20.0, 30.0), "cpu")
    mask = masks.mask_at(frame_at().colour, (20.0, 30.0))
    assert mask.shape == (HEIGHT, WIDTH) and mask.dtype == bool
    np.testing.assert_array_equal(mask, masks.mask_at(frame_at().colour, (20.0, 30.0)))
    seen = masks.mask(frame_at(), 0, ROBOT)
    assert seen is None if not mask.any() else np.array_equal(seen, mask)


def test_the_point_decides(sam2):
    masks = Sam2Masks(*sam2, lambda frame, index, robot: None, "cpu")
    here, there = (masks.mask_at(frame_at().colour, point) for point in ((5.0, 5.0), (60.0, 40.0)))
    assert (here != there).any()


@pytest.mark.parametrize("point", [None, (-1.0, 5.0), (WIDTH, 5.0), (5.0, HEIGHT)])
def test_without_a_point_in_the_image_there_is_no_mask(sam2, point):
    assert Sam2Masks(*sam2, lambda frame, index, robot: point, "cpu").mask(frame_at(), 0, ROBOT) is None


def test_a_position_is_where_the_camera_sees_it():
    frame = frame_at()
    k, pixel, distance = frame.intrinsics, (40.0, 10.0), 0.6
    ray = np.array([(pixel[0] - k.cx) / k.fx, (pixel[1] - k.cy) / k.fy, 1.0]) * distance
    position = frame.camera_pose[:3] + rotations.rotate(frame.camera_pose[3:], ray)
    np.testing.assert_allclose(pixel_of(frame, position), pixel, atol=1e-9)
    behind = frame.camera_pose[:3] - rotations.rotate(frame.camera_pose[3:], ray)
    assert pixel_of(frame, behind) is None


def test_a_device_that_is_none_is_refused(sam2):
    with pytest.raises(ValueError, match="device must be auto, cpu, cuda"):
        Sam2Masks(*sam2, lambda frame, index, robot: None, "tpu")
