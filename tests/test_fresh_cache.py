"""What a notebook finds in the cache that tests give it."""

from fresh_cache import fresh_cache

from finetune_course.adapters import own_adapter_folder
from finetune_course.small_model import own_small_model


def test_weights_are_there_and_a_learners_own_models_are_not(tmp_path, monkeypatch):
    monkeypatch.setenv("FINETUNE_COURSE_CACHE", str(tmp_path / "learner's"))
    weights = tmp_path / "learner's" / "smollm2-135m-instruct"
    weights.mkdir(parents=True)
    (weights / "model.safetensors").write_bytes(b"weights")
    own_small_model().mkdir(parents=True)
    (own_adapter_folder("triage") / "kept").touch()

    (tmp_path / "new").mkdir()
    monkeypatch.setenv("FINETUNE_COURSE_CACHE", str(fresh_cache(tmp_path / "new")))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["smollm2-135m-instruct"]
    assert (tmp_path / "new/smollm2-135m-instruct/model.safetensors").read_bytes() == b"weights"
    assert not own_small_model().exists() and not (own_adapter_folder("triage") / "kept").exists()
    assert (tmp_path / "learner's/adapters/triage/kept").exists()
