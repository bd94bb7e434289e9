import pytest

from ocrrl.policies import finetune


@pytest.fixture(scope="session", autouse=True)
def decoded_frames(tmp_path_factory):
    """Frames that tests decode stay out of the project's own `.work/`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finetune, "DECODED_FRAMES", tmp_path_factory.mktemp("decoded"))
        yield
