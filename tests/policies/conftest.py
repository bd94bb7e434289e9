from pathlib import Path

import pytest

from ocrrl.policies import training_data
from tests.policies.hub_cache import empty_hub_cache


@pytest.fixture(scope="session", autouse=True)
def decoded_frames(tmp_path_factory):
    """Frames that tests decode stay out of the project's own `.work/`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_data, "DECODED_FRAMES", tmp_path_factory.mktemp("decoded"))
        yield


@pytest.fixture
def hub_cache(tmp_path_factory, monkeypatch) -> Path:
    """An empty cache of the hub in place of this user's; `cached_repository` makes a repository in it."""
    return empty_hub_cache(tmp_path_factory.mktemp("hub"), monkeypatch)
