"""StyleGAN2: mapping, synthesis, and the Generator that joins them (Karras et al. 2020, arXiv 1912.04958).

Parameter names are those of NVIDIA's PyTorch releases, so that every checkpoint format has one target.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import nn

from ..files import limits
from ..files.errors import MicromotionError
from .makers import made_by
from .ops import bias_act, fir_kernel, prepared, styled_conv2d, upsample2d, upsample_add, use_backend
from .ops.backend import valid as valid_backend
from .ops.strips import StripLayer, block_in_strips, worth_strips

NOISE_MODES = ("const", "random", "none")
CPU_HALF = torch.bfloat16  # what CPUs with 16-bit units compute fast
Styles = tuple[torch.Tensor, ...]  # of one block: conv0, conv1, toRGB, each [N, I]


class GeneratorError(MicromotionError):
    """A sentence for the user: which codes or numbers a generator cannot take, and what it takes."""


@dataclass(frozen=True)
class Architecture:
    """What a checkpoint says about its network; sizes come from tensors, the rest from metadata.

    ``channels`` maps each block resolution (4, 8, ..., ``resolution``) to its width.
    """

    resolution: int
    channels: dict[int, int]
    w_dim: int = 512
    z_dim: int = 512
    c_dim: int = 0
    embed_dim: int = 0
    hidden_dim: int = 0
    mapping_layers: int = 8
    img_channels: int = 3
    architecture: str = "skip"
    conv_clamp: float | None = None
    resample_filter: tuple[float, ...] = (1, 3, 3, 1)
    lr_multiplier: float = 0.01
    activation: str = "lrelu"
    use_noise: bool = True
    base: tuple[int, int] = (4, 4)  # height and width of the constant at the first block; others than squares grow from others

    def size(self, resolution: int) -> tuple[int, int]:
        """Height and width of the block of this resolution: twice those of the block before."""
        return self.base[0] * resolution // 4, self.base[1] * resolution // 4

    @property
    def num_layers(self) -> int:
        """Rows of a W+ code: 18 at 1024 px."""
        return 2 * self.resolution.bit_length() - 4

    @property
    def resolutions(self) -> tuple[int, ...]:
        return tuple(2**k for k in range(2, self.resolution.bit_length()))


class Linear(nn.Module):
    """Fully connected layer with the learning rate equalized at run time."""

    def __init__(self, n_in: int, n_out: int, *, lr_multiplier: float = 1.0, bias_init: float = 0.0, activation: str = "linear"):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((n_out,), float(bias_init)))
        self.weight_gain = lr_multiplier / n_in**0.5
        self.bias_gain = lr_multiplier
        self.activation = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x @ (self.weight * self.weight_gain).T
        return bias_act(x, self.bias * self.bias_gain, activation=self.activation)


def normalize_2nd_moment(x: torch.Tensor) -> torch.Tensor:
    """Scale each row of ``x [N, D]`` to unit mean square."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class Mapping(nn.Module):
    """z ``[N, Z]`` (and labels ``[N, C]``) -> w ``[N, D]``."""

    w_avg: torch.Tensor

    def __init__(self, arch: Architecture):
        super().__init__()
        embed_dim = (arch.embed_dim or arch.w_dim) if arch.c_dim else 0
        hidden = arch.hidden_dim or arch.w_dim
        widths = [arch.z_dim + embed_dim] + [hidden] * (arch.mapping_layers - 1) + [arch.w_dim]
        if arch.c_dim:
            self.embed = Linear(arch.c_dim, embed_dim)
        for i in range(arch.mapping_layers):
            fc = Linear(widths[i], widths[i + 1], lr_multiplier=arch.lr_multiplier, activation=arch.activation)
            self.add_module(f"fc{i}", fc)
        self.num_fc = arch.mapping_layers
        self.c_dim = arch.c_dim
        self.register_buffer("w_avg", torch.zeros(arch.w_dim))

    def forward(self, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        x = normalize_2nd_moment(z.to(torch.float32))
        if self.c_dim:
            y = z.new_zeros(len(z), self.c_dim) if labels is None else labels.to(torch.float32)
            x = torch.cat([x, normalize_2nd_moment(self.embed(y))], 1)
        for i in range(self.num_fc):
            x = self.layer(i)(x)
        return x

    def layer(self, number: int) -> Linear:
        return cast(Linear, self.get_submodule(f"fc{number}"))


class ConvLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, activation; ``up`` doubles the size first."""

    noise_const: torch.Tensor
    resample_filter: torch.Tensor

    def __init__(self, n_in: int, n_out: int, resolution: int, arch: Architecture, *, up: bool = False):
        super().__init__()
        self.up = up
        self.clamp = arch.conv_clamp
        self.activation = arch.activation
        self.affine = Linear(arch.w_dim, n_in, bias_init=1)
        self.style_gain = 1.0
        self.weight = nn.Parameter(torch.randn(n_out, n_in, 3, 3))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.size = arch.size(resolution)
        self.use_noise = arch.use_noise
        if arch.use_noise:
            self.register_buffer("noise_const", torch.randn(*self.size))
            self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("resample_filter", fir_kernel(arch.resample_filter))

    def forward(self, x: torch.Tensor, style: torch.Tensor, noise: str, gain: float = 1.0) -> torch.Tensor:
        return styled_conv2d(
            x,
            self.weight,
            style,
            self.bias,
            self.noise(noise, max(len(x), len(style))),
            up=self.up,
            kernel=self.resample_filter,
            activation=self.activation,
            gain=gain,
            clamp=self.clamp,
        )

    def noise(self, mode: str, n: int) -> torch.Tensor | None:
        """The noise to add, ``[N or 1, 1, R, R]``, or None."""
        if mode == "none" or not self.use_noise:
            return None
        if mode == "const":
            return prepared([self.noise_strength, self.noise_const], "noise", lambda strength, noise: strength * noise[None, None])
        fresh = torch.randn(n, 1, *self.size, dtype=self.noise_const.dtype, device=self.noise_const.device)
        return fresh * self.noise_strength

    def in_strips(self, style: torch.Tensor, noise: str, n: int) -> StripLayer:
        """What `block_in_strips` needs of this layer."""
        return StripLayer(self.weight, style, self.bias, self.noise(noise, n), self.clamp)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to the image channels; no demodulation, no activation."""

    def __init__(self, n_in: int, arch: Architecture):
        super().__init__()
        self.affine = Linear(arch.w_dim, n_in, bias_init=1)
        self.style_gain = 1 / n_in**0.5
        self.weight = nn.Parameter(torch.randn(arch.img_channels, n_in, 1, 1))
        self.bias = nn.Parameter(torch.zeros(arch.img_channels))
        self.clamp = arch.conv_clamp

    def forward(self, x: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        size = x.shape[2:]
        x = x.permute(0, 2, 3, 1).flatten(1, 2) @ self.kernels(style).transpose(1, 2).to(x.dtype)  # [N, HW, C]
        return self.finish(x.unflatten(1, size).permute(0, 3, 1, 2))

    def kernels(self, style: torch.Tensor) -> torch.Tensor:
        """The 1x1 kernel of every sample, ``[N, C, I]``."""
        return self.weight[:, :, 0, 0] * style[:, None]

    def finish(self, x: torch.Tensor) -> torch.Tensor:
        return bias_act(x, self.bias, activation="linear", clamp=self.clamp)


class Skip(nn.Module):
    """1x1 shortcut of the ``resnet`` architecture, upsampled."""

    resample_filter: torch.Tensor

    def __init__(self, n_in: int, n_out: int, arch: Architecture):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, 1, 1))
        self.register_buffer("resample_filter", fir_kernel(arch.resample_filter))
        self.weight_gain = 1 / n_in**0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.conv2d(x, self.weight * self.weight_gain)
        return upsample2d(x, self.resample_filter) * 0.5**0.5


class Block(nn.Module):
    """All layers of one resolution: conv0 (the constant at 4 px), conv1, toRGB, the last sharing its code row with the next conv0."""

    resample_filter: torch.Tensor

    def __init__(self, resolution: int, arch: Architecture):
        super().__init__()
        width = arch.channels[resolution]
        self.first = resolution == 4
        self.last = resolution == arch.resolution
        self.resnet = arch.architecture == "resnet" and not self.first
        row = 2 * resolution.bit_length() - 7
        self.rows = (row, row + 1, row + 2)
        if self.first:
            self.const = nn.Parameter(torch.randn(width, *arch.base))
        else:
            self.conv0 = ConvLayer(arch.channels[resolution // 2], width, resolution, arch, up=True)
        self.conv1 = ConvLayer(width, width, resolution, arch)
        if self.resnet:
            self.skip = Skip(arch.channels[resolution // 2], width, arch)
        self.has_rgb = arch.architecture == "skip" or self.last
        if self.has_rgb:
            self.torgb = ToRGB(width, arch)
        self.register_buffer("resample_filter", fir_kernel(arch.resample_filter))

    @property
    def layers(self) -> tuple[ConvLayer | ToRGB | None, ...]:
        """The styled layer of each of `rows`, None where there is none."""
        return None if self.first else self.conv0, self.conv1, self.torgb if self.has_rgb else None

    def forward(
        self, x: torch.Tensor | None, image: torch.Tensor | None, styles: Styles, noise: str, *, start=0, stop=3, picture=False
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Run the layers ``start`` to ``stop`` on features ``x [N or 1, I, h, w]`` (None: the constant) and the ``image`` so far."""
        x = self.const[None].contiguous(memory_format=torch.channels_last) if x is None else x
        if (start, stop) == (0, 3) and self._fits_strips(x, styles):
            return self._in_strips(x, image, styles, noise, picture)
        if self.resnet:
            x = self._residual(x, styles, noise) if start == 0 and stop > 1 else x
        else:
            if start == 0 < stop and not self.first:
                x = self.conv0(x, styles[0], noise)
            if start <= 1 < stop:
                x = self.conv1(x, styles[1], noise)
        if start < stop == 3 and self.has_rgb:
            image = upsample_add(image, self.torgb(x, styles[2]), self.resample_filter, picture=picture)
        return x, image

    def _residual(self, x: torch.Tensor, styles: Styles, noise: str) -> torch.Tensor:
        shortcut = self.skip(x)
        return self.conv1(self.conv0(x, styles[0], noise), styles[1], noise, gain=0.5**0.5) + shortcut

    def _fits_strips(self, x: torch.Tensor, styles: Styles) -> bool:
        if self.first or self.resnet or len(self.resample_filter) != 4 or self.conv0.activation != "lrelu":
            return False
        learns = torch.is_grad_enabled() and any(t.requires_grad for t in (x, self.conv0.weight, *styles))
        return not learns and worth_strips(x, self.conv1.weight)

    def _in_strips(
        self, x: torch.Tensor, image: torch.Tensor | None, styles: Styles, noise: str, picture: bool
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        n = max(len(x), *map(len, styles))
        kernels = self.torgb.kernels(styles[2]) if self.has_rgb else None
        up, same = self.conv0.in_strips(styles[0], noise, n), self.conv1.in_strips(styles[1], noise, n)
        features, rgb = block_in_strips(x, up, same, kernels, self.resample_filter, keep=not self.last)
        if rgb is not None:
            image = upsample_add(image, self.torgb.finish(rgb), self.resample_filter, picture=picture)
        return features, image


@dataclass(frozen=True)
class Prefix:
    """Synthesis as far as the layers go that several codes have in common: see `Synthesis.prefix`."""

    resolution: int
    layers: int
    x: torch.Tensor | None
    image: torch.Tensor | None


class Synthesis(nn.Module):
    """codes ``[N, L, D]`` -> images ``[N, C, R, R]``."""

    def __init__(self, arch: Architecture):
        super().__init__()
        self.resolutions = arch.resolutions
        self.backend: str | None = None  # see `Generator.backend`
        for r in self.resolutions:
            self.add_module(f"b{r}", Block(r, arch))

    def forward(
        self,
        codes: torch.Tensor,
        noise: str = "const",
        *,
        half: int = 0,
        prefix: Prefix | None = None,
        resolution: int | None = None,
        picture: bool = False,
    ) -> torch.Tensor:
        """``resolution`` stops there and gives the smaller image of that block; the rest as in `Generator.synthesize`."""
        at, styles, last = prefix or Prefix(4, 0, None, None), self.styles(codes), resolution or self.resolutions[-1]
        x, image, start = at.x, at.image, at.layers
        with self._chosen_backend():
            for r in (r for r in self.resolutions if at.resolution <= r <= last):
                x = self._in_precision(x, r, half)
                x, image = self.block(r)(x, image, styles[r], noise, start=start, picture=picture and r == last)
                start = 0
        assert image is not None  # a block that ends a picture has toRGB
        return image

    def block(self, resolution: int) -> Block:
        """The layers of one resolution: 4, 8, ..."""
        return cast(Block, self.get_submodule(f"b{resolution}"))

    def prefix(self, code: torch.Tensor, rows: int, noise: str = "const", *, half: int = 0) -> Prefix:
        """Run ``code [1, L, D]`` through the layers that read its first ``rows`` rows only: all codes that share them go on from here."""
        x, image, styles = None, None, self.styles(code)
        with self._chosen_backend():
            for r in self.resolutions:
                block = self.block(r)
                layers = sum(row < rows for row in block.rows)
                layers = 0 if block.resnet and layers == 1 else min(layers, 2) if block.last else layers
                x, image = block(self._in_precision(x, r, half), image, styles[r], noise, stop=layers)
                if layers < 3:
                    break
        return Prefix(r, layers, x, image)

    def _chosen_backend(self) -> contextlib.AbstractContextManager:
        return contextlib.nullcontext() if self.backend is None else use_backend(self.backend)

    def _in_precision(self, x: torch.Tensor | None, resolution: int, half: int) -> torch.Tensor | None:
        """Features for the block of this resolution: in half precision if it is among the ``half`` highest."""
        if x is None or resolution not in self.resolutions[max(1, len(self.resolutions) - half) :]:
            return x
        return x.to(CPU_HALF if x.device.type == "cpu" else torch.float16)

    def styles(self, codes: torch.Tensor) -> dict[int, Styles]:
        """The styles of every layer, by block: one batched matrix product while the weights are frozen."""
        with torch.autocast(codes.device.type, enabled=False):
            rows, layers = self._styled_layers()
            weights = [p for layer in layers for p in (layer.affine.weight, layer.affine.bias)]
            if any(p.requires_grad for p in weights):
                flat = [layer.affine(codes[:, row]) * layer.style_gain for row, layer in zip(rows, layers)]
            else:
                weight, bias = prepared(weights, "styles", lambda *_: _stacked_affines(layers))
                flat = torch.baddbmm(bias, torch.stack([codes[:, row] for row in rows]).to(weight), weight)  # [S, N, I]
                flat = [s[:, : len(layer.affine.bias)] for s, layer in zip(flat, layers)]
        flat = iter(flat)
        blocks = ((r, self.block(r)) for r in self.resolutions)
        return {r: tuple(codes[:1, 0] if layer is None else next(flat) for layer in block.layers) for r, block in blocks}

    def _styled_layers(self) -> tuple[list[int], list[ConvLayer | ToRGB]]:
        blocks = [self.block(r) for r in self.resolutions]
        pairs = [(row, layer) for block in blocks for row, layer in zip(block.rows, block.layers) if layer is not None]
        return [row for row, _ in pairs], [layer for _, layer in pairs]


def _stacked_affines(layers: Sequence[ConvLayer | ToRGB]) -> tuple[torch.Tensor, torch.Tensor]:
    """All style layers as one batch of matrices ``[S, D, I]`` and biases ``[S, 1, I]``, gains included, zero beyond each width."""
    like = layers[0].affine.weight
    width = max(len(layer.affine.bias) for layer in layers)
    weights, biases = like.new_zeros(len(layers), like.shape[1], width), like.new_zeros(len(layers), 1, width)
    for weight, bias, layer in zip(weights, biases, layers):
        torch.mul(layer.affine.weight.T, layer.affine.weight_gain * layer.style_gain, out=weight[:, : len(layer.affine.bias)])
        torch.mul(layer.affine.bias, layer.style_gain, out=bias[0, : len(layer.affine.bias)])
    return weights, biases


@dataclass(frozen=True)
class Provenance:
    """Where a generator came from: format name, path, remarks a user should see, and the names of its classes where the file has them."""

    format: str = "new"
    path: str = ""
    notes: tuple[str, ...] = field(default=())
    classes: tuple[str, ...] = field(default=())


class Generator(nn.Module):
    """A StyleGAN2 generator: z -> codes -> images.

    ``codes`` are W+ codes, float32 ``[N, L, D]`` (L = ``num_layers``, D = ``width``; 18 x 512 at 1024 px).
    """

    def __init__(self, architecture: Architecture, provenance: Provenance = Provenance()):
        super().__init__()
        self.architecture = architecture
        self.provenance = provenance
        self.mapping = Mapping(architecture)
        self.synthesis = Synthesis(architecture)
        self._fingerprint: tuple[list, str] | None = None  # the state of the weights, and their name

    @property
    def resolution(self) -> int:
        return self.architecture.resolution

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its pictures; both are ``resolution`` but for generators of oblong ones."""
        return self.architecture.size(self.resolution)

    @property
    def is_oblong(self) -> bool:
        """Whether its pictures are not squares."""
        return self.size[0] != self.size[1]

    @property
    def num_layers(self) -> int:
        return self.architecture.num_layers

    @property
    def width(self) -> int:
        return self.architecture.w_dim

    @property
    def backend(self) -> str | None:
        """The form of the operations that this generator is bound to (see `ops.use_backend`); None leaves the choice open."""
        return self.synthesis.backend

    @backend.setter
    def backend(self, name: str | None) -> None:
        self.synthesis.backend = None if name is None else valid_backend(name, "This generator's choice")

    @property
    def w_avg(self) -> torch.Tensor:
        """The mean code ``[D]``."""
        return self.mapping.w_avg

    @property
    def fingerprint(self) -> str:
        """16 hex digits that name these weights: SHA-256 over the parameters' names, shapes and float32 bytes.

        It follows the weights: one that is moved, replaced or written to in place (not through its ``.data``) is read again.
        """
        tensors = self.state_dict(keep_vars=True).values()
        state = [(t.data_ptr(), t.device, 0 if t.is_inference() else t._version) for t in tensors]
        if self._fingerprint is None or self._fingerprint[0] != state:
            self._fingerprint = state, _fingerprint(self)
        return self._fingerprint[1]

    def map(
        self,
        z: torch.Tensor,
        truncation: float = 1.0,
        cutoff: int | None = None,
        labels: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Map ``z [N, Z]`` (and one-hot ``labels [N, C]``) to codes ``[N, L, D]``.

        ``truncation`` (psi) pulls the first ``cutoff`` rows (None: all) toward the mean code; 1 leaves them, 0 gives the mean.
        Raises GeneratorError.
        """
        if z.ndim != 2 or z.shape[1] != self.architecture.z_dim:
            raise GeneratorError(f"z has shape {tuple(z.shape)}; this generator maps [N, {self.architecture.z_dim}].")
        truncation = limits.TRUNCATION.checked(truncation, "The truncation is", GeneratorError)
        if cutoff is not None:
            limits.Limit(0, self.num_layers, whole=True).checked(cutoff, "The cutoff is", GeneratorError)
        codes = self.mapping(z, labels)[:, None].repeat(1, self.num_layers, 1)
        if truncation != 1:
            codes[:, :cutoff] = self.w_avg.lerp(codes[:, :cutoff], truncation)
        return made_by(codes, self)

    def synthesize(
        self, codes: torch.Tensor, noise: str = "const", *, half: int = 0, prefix: Prefix | None = None, picture: bool = False
    ) -> torch.Tensor:
        """Turn codes ``[N, L, D]`` into images ``[N, C, R, R]``, float32, about -1..1, not clamped.

        ``noise``: ``const`` (the stored noise pictures), ``random`` (fresh, from torch's global generator) or ``none``.
        ``half`` computes that many of the highest resolutions in 16 bits (float16 on a GPU, bfloat16 on a CPU): faster where the
        hardware has it, and less exact. ``prefix``: the first layers of these codes, from `Synthesis.prefix`.
        ``picture`` moves the result to 0..1 and clamps it. Raises GeneratorError.
        """
        self.check_codes(codes)
        if noise not in NOISE_MODES:
            raise GeneratorError(f"Unknown noise mode {noise!r}; choose one of {', '.join(NOISE_MODES)}.")
        limits.HALF.checked(half, "The resolutions in half precision are", GeneratorError)
        return self.synthesis(codes, noise, half=half, prefix=prefix, picture=picture)

    forward = synthesize

    def check_codes(self, codes: torch.Tensor) -> None:
        """Raise GeneratorError unless ``codes`` are ``[N, L, D]``."""
        if codes.ndim != 3 or codes.shape[1:] != (self.num_layers, self.width):
            raise GeneratorError(
                f"Codes have shape {tuple(codes.shape)}; this {self.resolution} px generator takes"
                f" [N, {self.num_layers}, {self.width}]. Use codes that were made with it."
            )


def _fingerprint(generator: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(generator.state_dict().items()):
        data = tensor.detach().to("cpu", torch.float32).contiguous()
        digest.update(f"{name}{tuple(data.shape)}".encode())
        digest.update(data.numpy().tobytes())
    return digest.hexdigest()[:16]
