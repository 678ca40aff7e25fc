"""3x3 convolution on a CPU with a quarter of the multiplications: Winograd's F(4x4, 3x3), as matrix products (arXiv 1509.09308).

Outputs are made in tiles of 4x4 from tiles of 6x6 inputs. Tile and kernel are read as products of polynomials: both are evaluated at six
points per axis, multiplied point by point (36 matrix products over the channels), and the product is interpolated back.
With the points 0, +-2/3, +-3/2 and infinity the rounding error is that of a direct convolution; with the usual 0, +-1, +-2 it is four times
as large.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F

POINTS = (0.0, 2 / 3, -2 / 3, 3 / 2, -3 / 2)  # and infinity
TILE, KERNEL = 4, 3
LEAST_CHANNELS, LEAST_TILES = 128, 64
BLOCK_CHANNELS, BLOCK_TILES = 128, 256  # what is transformed at a time stays in the cache, and costs little memory


def pays(x: torch.Tensor, weight: torch.Tensor, rows: int = 1) -> bool:
    """Whether `conv3x3` is faster than the direct convolution: many channels and tiles, float32, on a CPU."""
    (n, i, h, w), (o, _, k, _) = x.shape, weight.shape
    h = h + 2 * rows - 2
    tiles = n * (h // TILE) * (w // TILE)
    fits = k == KERNEL and h % TILE == 0 and w % TILE == 0 and tiles >= LEAST_TILES and min(i, o) >= LEAST_CHANNELS
    return fits and x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32


def conv3x3(x: torch.Tensor, weight: torch.Tensor, rows: int = 1) -> torch.Tensor:
    """``conv2d(x, weight, padding=(rows, 1))`` for ``x [N, I, H, W]`` and ``weight [O, I, 3, 3]``, channels last; sides divide by 4."""
    x = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, rows, rows))  # [N, H + 2, W + 2, I]
    n, h, w, _ = x.shape
    result = torch.empty(n, len(weight), h - 2, w - 2, dtype=x.dtype, memory_format=torch.channels_last)
    y = result.permute(0, 2, 3, 1)
    down, across = h // TILE, w // TILE  # of tiles
    samples, step = max(1, BLOCK_TILES // (down * across)), max(1, BLOCK_TILES // across)
    for xs, ys in zip(x.split(samples), y.split(samples)):
        for top in range(0, down, step):
            bottom = min(top + step, down)
            _convolve_tiles(xs[:, TILE * top : TILE * bottom + 2], weight, ys[:, TILE * top : TILE * bottom])
    return result


def _convolve_tiles(x: torch.Tensor, weight: torch.Tensor, out: torch.Tensor) -> None:
    """Convolve the padded rows ``x [n, 4a + 2, 4b + 2, I]`` into ``out [n, 4a, 4b, O]``."""
    to_points, interpolate, of_kernel = matrices()
    (n, a, b), (sample, row, column, channel) = (len(out), out.shape[1] // TILE, out.shape[2] // TILE), x.stride()
    tiles = x.as_strided((6, 6, n, a, b, x.shape[3]), (row, column, sample, TILE * row, TILE * column, channel), x.storage_offset())
    inputs = (to_points @ tiles.reshape(36, -1)).view(36, n * a * b, -1)
    for o in range(0, len(weight), BLOCK_CHANNELS):
        part = weight[o : o + BLOCK_CHANNELS]
        kernels = (of_kernel @ part.reshape(-1, 9).T).view(36, *part.shape[:2])
        products = torch.bmm(inputs, kernels.transpose(1, 2))  # [36, n a b, O]
        outputs = (interpolate @ products.view(36, -1)).view(TILE, TILE, n, a, b, -1)
        out.unflatten(1, (a, TILE)).unflatten(3, (b, TILE))[..., o : o + BLOCK_CHANNELS] = outputs.permute(2, 3, 0, 4, 1, 5)


@lru_cache(maxsize=1)
def matrices() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Input ``[36, 36]``, output ``[16, 36]`` and kernel ``[36, 9]`` transform of a tile: one axis' matrix times itself, float32.

    A kernel k(t) is evaluated at point p as k(p) / prod(p - q) over the other points q (Lagrange), an input at p by the coefficients
    of prod(t - q), and an output is the sum over the points of p^m times their product. Infinity takes the leading coefficients.
    """
    with torch.inference_mode(False):
        points = torch.tensor(POINTS, dtype=torch.float64)
        others = [[q for q in POINTS if q != p] for p in POINTS]
        scale = torch.tensor([torch.tensor([p - q for q in qs]).prod() for p, qs in zip(POINTS, others)])
        kernel = torch.cat([torch.stack([points**k / scale for k in range(KERNEL)], 1), _last(1, KERNEL)])
        output = torch.cat([torch.stack([points**m for m in range(TILE)]), _last(1, TILE).T], 1)
        inputs = torch.stack([*(_polynomial([*qs, None]) for qs in others), _polynomial(POINTS)])
        return torch.kron(inputs, inputs).float(), torch.kron(output, output).float(), torch.kron(kernel, kernel).float()


def _last(rows: int, columns: int) -> torch.Tensor:
    last = torch.zeros(rows, columns, dtype=torch.float64)
    last[:, -1] = 1
    return last


def _polynomial(roots) -> torch.Tensor:
    """Coefficients of prod(t - root), lowest power first; None adds a zero at the end in place of a root."""
    p = torch.ones(1, dtype=torch.float64)
    for root in roots:
        longer = torch.cat([p.new_zeros(1), p])
        p = torch.cat([p, p.new_zeros(1)]) if root is None else longer - root * torch.cat([p, p.new_zeros(1)])
    return p
