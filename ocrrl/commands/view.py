"""`ocrrl view`: an episode, or a whole session, in Rerun: images, poses, actions, confidences, gates' verdicts; or as an HTML page."""

import argparse
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from ocrrl.commands.check_recordings import choose_task, declared_config
from ocrrl.commands.episode_page import write_episode_page
from ocrrl.episodes.episode_store import read_episode
from ocrrl.episodes.validation import read_valid_episode
from ocrrl.extras import how_to_install
from ocrrl.interface.cameras import DEFAULT_CAMERAS
from ocrrl.interface.episode import Episode
from ocrrl.layout import WORK
from ocrrl.params import PARAMS_FILE, Params
from ocrrl.recordings.check_folder import FolderKinds, kinds_in, suggest_for
from ocrrl.recordings.expendable import UnforeseenLog
from ocrrl.recordings.meaning.foreign_mapping import UNKNOWN
from ocrrl.recordings.read_all import Kept, Refused, read_all
from ocrrl.viewers.rerun_recording import show_episode, show_session
from ocrrl.viewers.session_episodes import is_session, readable, require_unlocked, session_episodes

VIEWS = WORK / "views"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "recording",
        type=Path,
        help="an episode's .h5 file, recordings of any format that ingest reads, or the folder of a session or of rollouts",
    )
    parser.add_argument("--episode", metavar="N", help="episode: its number from 0, or its name (default: the first)")
    parser.add_argument(
        "--all", action="store_true", help="every episode of our format (default for sessions and rollouts)"
    )
    parser.add_argument(
        "--save",
        type=Path,
        help="write an .rrd file, or an .html page of an episode, instead of opening the viewer; without Rerun a page in .work/views",
    )


def run(options: argparse.Namespace) -> int:
    if options.all and options.episode is not None:
        raise ValueError(f"--episode must be left out with --all, got {options.episode}")
    save: Path | None = options.save
    if options.all or (options.episode is None and is_session(options.recording)):
        refused = view_session(options.recording, save)
    else:
        refused = 0
        if save is None and find_spec("rerun") is None:
            save = VIEWS / f"{options.recording.stem}.html"
            print(f"Rerun is not installed ({how_to_install('view')}); this page shows the episode in a browser:")
        view_recording(options.recording, options.episode, save)
    if save:
        print(save)
    return int(refused > 0)


def view_session(folder: Path, save: Path | None = None) -> int:
    """Open every episode of the session or rollouts in `folder`, or write them to the .rrd file `save`; how many were not readable.

    Those are named on stderr, and the others are shown. Raises as `session_episodes`, ValueError where none can be read or `save`
    is a page.
    """
    if save is not None and save.suffix == ".html":
        raise ValueError(
            f"--save must end in .rrd for several episodes, got {save}; --episode N writes the page of one"
        )
    episodes = session_episodes(folder)
    shown = show_session(readable(episodes, lambda line: print(line, file=sys.stderr)), save)
    print(f"{shown} of {len(episodes)} episodes of {folder}")
    return len(episodes) - shown


def view_recording(path: Path, episode: str | None = None, save: Path | None = None) -> None:
    """Open one recording of the file, dataset or folder `path`, of any format: the first, or number or name `episode`.

    A foreign one is read with the mapping of params.yaml, or with a suggested one. Raises as `view_episode`, and ValueError
    where there is no such recording.
    """
    require_unlocked(path)
    folder, only = (path, None) if path.is_dir() else (path.parent, path)
    if only is not None and not only.exists():
        raise FileNotFoundError(f"the recording must exist, got {path}")
    kinds = kinds_in(folder, only)
    if kinds.source_format in (None, "ocrrl"):
        own = [found for found, (source, *_) in kinds.containers.items() if source == "ocrrl"]
        own = [found for n, found in enumerate(own) if episode in (None, str(n), found.relative_to(folder).as_posix())]
        if not own and only is None:
            raise ValueError(f"{path} must hold episode {episode or 'files'}, got no such recording")
        view_episode(own[0] if own else path, save)
    else:
        _show(_foreign_episode(folder, only, episode or "0", kinds), save)


def _foreign_episode(folder: Path, only: Path | None, wanted: str, kinds: FolderKinds) -> Episode:
    params = Params.read() if PARAMS_FILE.is_file() else None
    task, _ = choose_task(None, folder, kinds.source_format, params)
    config = replace(declared_config(params, task), require_success=False, split="", on_rejected="warn")
    log = UnforeseenLog(WORK / "logs" / "view.txt")
    if config.source_format != kinds.source_format:
        cameras = params.cameras if params else DEFAULT_CAMERAS
        _, suggestion, reason = suggest_for(folder, kinds, task, cameras, log)
        if suggestion is None or suggestion.open_keys() - {"cell", "images"}:
            raise ValueError(
                f"a mapping must be declared to read {folder}; `ocrrl ingest --check {folder}` says more {reason}"
            )
        images = {camera: key for camera, key in suggestion.images().items() if key != UNKNOWN}
        mapping = suggestion.mapping | {"cell": "to_be_named", "images": images}
        config = replace(config, source_format=kinds.source_format or "", mapping=mapping)
    for outcome in read_all(folder, task, config, None, log, only, wanted):
        if isinstance(outcome, Kept):
            return outcome.reading.episode
        if isinstance(outcome, Refused):
            raise ValueError(f"{outcome.origin}: {outcome.reason}")
    raise ValueError(f"{folder} must hold episode {wanted}, got no such recording")


def view_episode(path: Path, save: Path | None = None) -> None:
    """Open `path`, a file of our format, in the Rerun viewer, or write it as an .rrd file to `save`.

    Raises EpisodeRejected for what is no sound episode, and as `show_episode`.
    """
    read_valid_episode(path, path.parent)
    _show(read_episode(path), save)


def _show(episode: Episode, save: Path | None) -> None:
    if save is not None and save.suffix == ".html":
        write_episode_page(episode, save, save.stem)
    else:
        show_episode(episode, save)
