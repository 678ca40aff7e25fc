"""The comparison with the authors' code, on a stand-in for their module."""

from __future__ import annotations

import pytest
import torch
from micromotion.lab import official

MODULE = """
import torch
import torchvision
from StyleCLIP.models.stylegan2.model import Generator
from micromotion.subspaces.decomposition import published


class RPCA_gpu:
    def __init__(self, D):
        self.D = D

    def fit(self):
        low, sparse = published(self.D)
        return FACTOR * low, sparse
"""


@pytest.fixture
def repository(tmp_path):
    def make(factor: float):
        folder = tmp_path / str(factor) / "StyleCLIP/optimization"
        folder.mkdir(parents=True)
        (folder / "pca.py").write_text(MODULE.replace("FACTOR", str(factor)))
        return tmp_path / str(factor)

    return make


def test_the_same_solver_agrees_and_another_is_told_apart(repository):
    start, codes = official.synthetic(0.02, 0)
    same = official.compare(official.load_solver(repository(1.0)), start[:2], codes[:, :2])
    other = official.compare(official.load_solver(repository(1.5)), start[:2], codes[:, :2])
    assert same["low-rank part"] < 1e-12 and same["direction, truncation converged"] < 1e-5
    assert other["low-rank part"] > 0.1 and other["direction, truncation converged"] > 0.1
    assert same["theirs from run to run"] > 1e-6  # their truncation is randomized


def test_the_table_names_every_share_of_errors(repository, capsys):
    official.main([str(repository(1.0)), "--seeds", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert "0% gross errors" in lines[0] and "10% gross errors" in lines[0]
    assert len(lines) == 7


def test_a_folder_without_their_module_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="checkout of the authors' repository"):
        official.load_solver(tmp_path)


def test_their_direction_ends_at_the_next_to_last_anchor():
    class Whole:
        def __init__(self, rows):
            self.rows = rows

        def fit(self):
            return self.rows, torch.zeros_like(self.rows)

    rows = torch.linspace(0, 1, 12)[:, None, None] * torch.ones(12, 1, 8)
    assert torch.allclose(official.official_direction(Whole, rows), torch.full((1, 8), 10 / 11), atol=1e-5)
