"""StyleGAN2: mapping, synthesis, and the Generator that joins them (Karras et al. 2020, arXiv 1912.04958).

Parameter names are those of NVIDIA's PyTorch releases, so that every checkpoint format has one target.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import torch
from torch import nn

from .ops import bias_act, demodulation, fir_kernel, modulated_conv2d, upsample2d

NOISE_MODES = ("const", "random", "none")


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

    @property
    def num_layers(self) -> int:
        """Rows of a W+ code: 18 at 1024 px."""
        return 2 * self.resolution.bit_length() - 4

    @property
    def resolutions(self) -> tuple[int, ...]:
        return tuple(2**k for k in range(2, self.resolution.bit_length()))


class Linear(nn.Module):
    """Fully connected layer with the learning rate equalised at run time."""

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
            x = self.get_submodule(f"fc{i}")(x)
        return x


class ConvLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, activation; ``up`` doubles the size first."""

    def __init__(self, n_in: int, n_out: int, resolution: int, arch: Architecture, *, up: bool = False, kernel: int = 3):
        super().__init__()
        self.up = up
        self.clamp = arch.conv_clamp
        self.activation = arch.activation
        self.affine = Linear(arch.w_dim, n_in, bias_init=1)
        self.weight = nn.Parameter(torch.randn(n_out, n_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.use_noise = arch.use_noise
        if arch.use_noise:
            self.register_buffer("noise_const", torch.randn(resolution, resolution))
            self.noise_strength = nn.Parameter(torch.zeros([]))
        self.register_buffer("resample_filter", fir_kernel(arch.resample_filter))

    def forward(self, x: torch.Tensor, w: torch.Tensor, noise: str, gain: float = 1.0) -> torch.Tensor:
        style = self.affine(w)
        x = modulated_conv2d(x, self.weight, style, demodulate=False, up=self.up, kernel=self.resample_filter)
        scale = demodulation(self.weight, style)
        return bias_act(x, self.bias, self._noise(x, noise), scale=scale, activation=self.activation, gain=gain, clamp=self.clamp)

    def _noise(self, x: torch.Tensor, mode: str) -> torch.Tensor | None:
        if mode == "none" or not self.use_noise:
            return None
        if mode == "const":
            return self.noise_const.to(x.dtype) * self.noise_strength
        return torch.randn_like(x[:, :1]) * self.noise_strength


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to the image channels; no demodulation, no activation."""

    def __init__(self, n_in: int, arch: Architecture):
        super().__init__()
        self.affine = Linear(arch.w_dim, n_in, bias_init=1)
        self.weight = nn.Parameter(torch.randn(arch.img_channels, n_in, 1, 1))
        self.bias = nn.Parameter(torch.zeros(arch.img_channels))
        self.clamp = arch.conv_clamp
        self.weight_gain = 1 / n_in**0.5

    def forward(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        style = self.affine(w) * self.weight_gain
        weight = self.weight[:, :, 0, 0] * style[:, None]  # [N, C, I]
        n, _, h, width = x.shape
        x = x.permute(0, 2, 3, 1).reshape(n, h * width, -1) @ weight.transpose(1, 2)
        x = x.reshape(n, h, width, -1).permute(0, 3, 1, 2)
        return bias_act(x, self.bias, activation="linear", clamp=self.clamp)


class Skip(nn.Module):
    """1x1 shortcut of the ``resnet`` architecture, upsampled."""

    def __init__(self, n_in: int, n_out: int, arch: Architecture):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, 1, 1))
        self.register_buffer("resample_filter", fir_kernel(arch.resample_filter))
        self.weight_gain = 1 / n_in**0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.conv2d(x, self.weight * self.weight_gain)
        return upsample2d(x, self.resample_filter) * 0.5**0.5


class Block(nn.Module):
    """All layers of one resolution. Code rows: conv0, conv1, toRGB, the last shared with the next block's conv0."""

    def __init__(self, resolution: int, arch: Architecture):
        super().__init__()
        width = arch.channels[resolution]
        self.first = resolution == 4
        self.resnet = arch.architecture == "resnet" and not self.first
        self.row = 0 if self.first else 2 * resolution.bit_length() - 7
        if self.first:
            self.const = nn.Parameter(torch.randn(width, 4, 4))
        else:
            self.conv0 = ConvLayer(arch.channels[resolution // 2], width, resolution, arch, up=True)
        self.conv1 = ConvLayer(width, width, resolution, arch)
        if self.resnet:
            self.skip = Skip(arch.channels[resolution // 2], width, arch)
        self.has_rgb = arch.architecture == "skip" or resolution == arch.resolution
        if self.has_rgb:
            self.torgb = ToRGB(width, arch)
        self.register_buffer("resample_filter", fir_kernel(arch.resample_filter))

    def forward(self, x: torch.Tensor | None, img: torch.Tensor | None, codes: torch.Tensor, noise: str):
        rows = codes.unbind(1)[self.row :]
        if self.first:
            x, rows = self.const.expand(len(codes), -1, -1, -1).contiguous(memory_format=torch.channels_last), (None, *rows)
        elif self.resnet:
            shortcut = self.skip(x)
            x = self.conv1(self.conv0(x, rows[0], noise), rows[1], noise, gain=0.5**0.5) + shortcut
        else:
            x = self.conv0(x, rows[0], noise)
        if not self.resnet:
            x = self.conv1(x, rows[1], noise)
        if img is not None:
            img = upsample2d(img, self.resample_filter)
        if self.has_rgb:
            rgb = self.torgb(x, rows[2]).to(torch.float32)
            img = rgb if img is None else img + rgb
        return x, img


class Synthesis(nn.Module):
    """codes ``[N, L, D]`` -> images ``[N, C, R, R]``."""

    def __init__(self, arch: Architecture):
        super().__init__()
        self.resolutions = arch.resolutions
        for r in self.resolutions:
            self.add_module(f"b{r}", Block(r, arch))

    def forward(self, codes: torch.Tensor, noise: str = "const") -> torch.Tensor:
        x = img = None
        for r in self.resolutions:
            x, img = self.get_submodule(f"b{r}")(x, img, codes, noise)
        return img


@dataclass(frozen=True)
class Provenance:
    """Where a generator came from: format name, path, and remarks a user should see."""

    format: str = "new"
    path: str = ""
    notes: tuple[str, ...] = field(default=())


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
        self._fingerprint: str | None = None

    @property
    def resolution(self) -> int:
        return self.architecture.resolution

    @property
    def num_layers(self) -> int:
        return self.architecture.num_layers

    @property
    def width(self) -> int:
        return self.architecture.w_dim

    @property
    def w_avg(self) -> torch.Tensor:
        """The mean code ``[D]``."""
        return self.mapping.w_avg

    @property
    def fingerprint(self) -> str:
        """16 hex digits that name these weights: SHA-256 over the parameters' names, shapes and float32 bytes."""
        if self._fingerprint is None:
            self._fingerprint = _fingerprint(self)
        return self._fingerprint

    def map(
        self,
        z: torch.Tensor,
        truncation: float = 1.0,
        cutoff: int | None = None,
        labels: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Map ``z [N, Z]`` (and one-hot ``labels [N, C]``) to codes ``[N, L, D]``.

        ``truncation`` (psi) pulls the first ``cutoff`` rows (None: all) toward the mean code; 1 leaves them, 0 gives the mean.
        """
        if z.ndim != 2 or z.shape[1] != self.architecture.z_dim:
            raise ValueError(f"z has shape {tuple(z.shape)}; this generator maps [N, {self.architecture.z_dim}].")
        codes = self.mapping(z, labels)[:, None].repeat(1, self.num_layers, 1)
        if truncation != 1:
            codes[:, :cutoff] = self.w_avg.lerp(codes[:, :cutoff], truncation)
        return codes

    def synthesize(self, codes: torch.Tensor, noise: str = "const") -> torch.Tensor:
        """Turn codes ``[N, L, D]`` into images ``[N, C, R, R]``, float32, about -1..1, not clamped.

        ``noise``: ``const`` (the stored noise pictures), ``random`` (fresh, from torch's global generator) or ``none``.
        """
        if codes.ndim != 3 or codes.shape[1:] != (self.num_layers, self.width):
            raise ValueError(
                f"Codes have shape {tuple(codes.shape)}; this {self.resolution} px generator takes"
                f" [N, {self.num_layers}, {self.width}]. Use codes that were made with it."
            )
        if noise not in NOISE_MODES:
            raise ValueError(f"Unknown noise mode {noise!r}; choose one of {', '.join(NOISE_MODES)}.")
        return self.synthesis(codes, noise)

    forward = synthesize


def _fingerprint(generator: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(generator.state_dict().items()):
        data = tensor.detach().to("cpu", torch.float32).contiguous()
        digest.update(f"{name}{tuple(data.shape)}".encode())
        digest.update(data.numpy().tobytes())
    return digest.hexdigest()[:16]
