"""Published results open; nothing in them runs."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from napari_vidrecon.errors import RunError
from napari_vidrecon.reconstruction.published import read_published
from napari_vidrecon.reconstruction.results import Reconstruction


def test_the_reference_result_file_opens_with_all_its_numbers(golden, golden_folder, tmp_path):
    result = read_published(golden_folder / "reconstruction_summary_standard.npy")
    np.testing.assert_array_equal(result.video, golden["standard__video_pred"])
    np.testing.assert_allclose(result.history["response_loss"], golden["standard__response_loss_full"])
    assert result.finished
    assert result.config.steps == 41
    assert result.provenance["published"] is True
    result.save(tmp_path / "run.zarr")
    again = Reconstruction.load(tmp_path / "run.zarr")
    np.testing.assert_array_equal(again.video, result.video)
    np.testing.assert_array_equal(again.predicted_activity, result.predicted_activity)


class _Attack:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return (open, (str(self.trace), "w"))


def test_code_inside_a_result_is_refused_and_does_not_run(tmp_path):
    trace, file = tmp_path / "trace", tmp_path / "reconstruction_summary.npy"
    np.save(file, np.array({"video_pred": _Attack(trace)}, dtype=object), allow_pickle=True)
    with pytest.raises(RunError, match=r"(io|_io)\.open, which is not data"):
        read_published(file)
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY", pickle.dumps({"a": 1})])
def test_other_files_are_one_clear_error(tmp_path, content):
    file = tmp_path / "summary.npy"
    file.write_bytes(content)
    with pytest.raises(RunError, match=r"summary\.npy"):
        read_published(file)


def test_a_dictionary_without_a_reconstruction_is_named(tmp_path):
    file = tmp_path / "summary.npy"
    np.save(file, np.array({"a": 1}, dtype=object), allow_pickle=True)
    with pytest.raises(RunError, match="video_pred"):
        read_published(file)
    with pytest.raises(RunError, match="nothing there"):
        read_published(tmp_path / "missing.npy")
