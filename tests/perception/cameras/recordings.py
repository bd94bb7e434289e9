"""Opens a recording of a RealSense camera."""

from pathlib import Path

from ocrrl.perception.cameras.realsense import PipelineFrameSets, realsense


def open_recording(path: Path, repeat: bool = False) -> PipelineFrameSets:
    """A recording with depth, at the speed it was recorded at; over and over if `repeat`."""
    rs = realsense()
    config, pipeline = rs.config(), rs.pipeline()
    config.enable_device_from_file(str(path), repeat_playback=repeat)
    device = pipeline.start(config).get_device()
    playback = device.as_playback()
    playback.set_real_time(True)
    return PipelineFrameSets(
        pipeline,
        device.get_info(rs.camera_info.serial_number),
        True,
        lambda: playback.current_status() != rs.playback_status.stopped,
    )
