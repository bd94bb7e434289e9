"""Detects the format of recordings in a folder and suggests a mapping; runs in the child process."""

from collections.abc import Mapping
from pathlib import Path

from ocrrl.episodes.episode_checks import EpisodeRejected, EpisodeRequirements
from ocrrl.episodes.hdf5_access import hdf5_faults, open_hdf5
from ocrrl.episodes.image_fit import ImageFit
from ocrrl.episodes.validation import check_location
from ocrrl.interface.tabletop_tasks import TabletopTask
from ocrrl.recordings.lerobot.dataset_files import DatasetFiles
from ocrrl.recordings.lerobot.dataset_info import read_info
from ocrrl.recordings.meaning.foreign_mapping import UNKNOWN
from ocrrl.recordings.reader import RecordingReader
from ocrrl.recordings.suggestion.dataset_fields import DatasetFields, lerobot_fields, robomimic_fields
from ocrrl.recordings.suggestion.suggest_mapping import Suggestion, correct, suggest_mapping

OWN = "ocrrl HDF5"
_TRIED = 5  # recordings of which one must be read for a mapping to be corrected by it


class FolderExplorer:
    """Looks into single recordings of `folder` without a mapping."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def kind(self, container: Path) -> tuple[str, str, str]:
        """Source format, what the container is called, and the tabletop task that it names (our format's only).

        Raises `EpisodeRejected` for what cannot be opened or is none of them.
        """
        if container.is_dir():
            info = read_info(DatasetFiles(container, self._folder), ())
            return "lerobot", f"LeRobotDataset v{'2.1' if info.major == 2 else info.major}", ""
        check_location(container, self._folder)
        with open_hdf5(container) as file, hdf5_faults("file"):
            if "data" in file:
                return "robomimic", "robomimic HDF5", ""
            if ("action" in file and "observations" not in file) or "format_version" in file.attrs:
                return "ocrrl", OWN, str(file.attrs.get("tabletop_task", ""))
            members = ", ".join(sorted(str(name) for name in file)[:8])
        raise EpisodeRejected("file", "of our format (action, images, ...) or robomimic's (data)", members or "nothing")

    def suggest(
        self, container: Path, task: TabletopTask, cameras: Mapping[str, tuple[int, int]]
    ) -> tuple[DatasetFields, Suggestion, str]:
        """The fields of the container's first recording, a mapping, and why no recording can be read with it (empty: one can)."""
        lerobot = container.is_dir()
        fields = lerobot_fields(container, self._folder) if lerobot else robomimic_fields(container)
        suggestion = suggest_mapping(fields, task, cameras)
        images = {name: size for name, size in cameras.items() if suggestion.images().get(name) != UNKNOWN}
        expected = EpisodeRequirements(tabletop_task=task, images=ImageFit(images))

        def attempt(mapping: Mapping[str, object]) -> EpisodeRejected | None:
            refusal: EpisodeRejected | None = None
            try:
                reader = RecordingReader(self._folder, task, fields.source_format, mapping, "")
                found = reader.find(container)
            except EpisodeRejected as reason:
                return reason
            except ValueError as error:  # the mapping's own
                return EpisodeRejected("mapping", "one that ingest takes", str(error))
            for recording in found[:_TRIED]:
                try:
                    reader.read(container, recording.index, expected)
                    return None
                except EpisodeRejected as reason:
                    refusal = refusal or reason
            return refusal

        refusal = correct(suggestion, attempt)
        return fields, suggestion, "" if refusal is None else refusal.reason
