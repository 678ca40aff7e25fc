"""Fit the prior of a label-free generator's codes: the mapping network that turns z ~ N(0, I) into codes that pictures have.

The codes of many pictures are known from the encoder. The mapping starts as the straight answer, set exactly (a Gaussian of their mean
and covariance), then a small critic in code space pulls it to their true distribution. Writes the finished generator and its encoder as
an inverter, both in the pack's own format.
``python -m micromotion.lab.train_prior --run runs/label_free --pictures ~/train/pictures_64``
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from tqdm import trange

from ..stylegan2 import Generator, load, save
from ..stylegan2.generator import Linear, Mapping
from ..stylegan2.inversion import EncoderInverter, save_inverter
from ..stylegan2.inversion.compact import CompactEncoder
from .draw_pictures import PictureSet
from .train_label_free import CODE_NOISE, architecture, encoder_config, settle
from .training import Average, learning_rate, save_sheet

BATCH = 256
DOMAIN = "rendered avatars"
FLOOR = 4 * CODE_NOISE**2
RATE, CRITIC_RATE, PENALTY = 0.1, 0.002, 1.0  # of mapping layers whose rate is a hundredth


def read_run(run: Path, size: int) -> tuple[Generator, CompactEncoder]:
    """The averaged generator and encoder of a run of `train_label_free`."""
    state = torch.load(Path(run) / "label_free.pt", map_location="cpu", weights_only=True)
    generator, encoder = Generator(architecture(size)), CompactEncoder(encoder_config(size))
    generator.synthesis.load_state_dict(state["average"])
    encoder.load_state_dict(state["encoder_average"])
    return generator.eval().requires_grad_(False), encoder.eval().requires_grad_(False)


@torch.no_grad()
def codes_of(encoder: CompactEncoder, pictures: PictureSet, count: int) -> torch.Tensor:
    """Codes ``[N, D]`` of the first ``count`` pictures, every other 64 of them mirrored."""
    numbers = torch.arange(min(count, pictures.drawn)).split(64)
    flips = [torch.zeros(len(n), dtype=torch.bool) if k % 2 else torch.ones(len(n), dtype=torch.bool) for k, n in enumerate(numbers)]
    return torch.cat([encoder(pictures.batch(n, f))[:, 0] for n, f in zip(numbers, flips)])


class Critic(nn.Module):
    """Codes ``[N, D]`` -> logits ``[N]``."""

    def __init__(self, width: int, hidden: int = 384):
        super().__init__()
        sizes = (width, hidden, hidden, hidden)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))
        self.last = nn.Linear(hidden, 1)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        x = codes
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
        return self.last(x)[:, 0]


class Prior:
    """Fits ``mapping`` to ``codes [N, D]``, whose mean it also takes as ``w_avg``."""

    def __init__(self, mapping: Mapping, codes: torch.Tensor):
        torch.manual_seed(0)
        self.mapping, self.codes, self.random = mapping.requires_grad_(True), codes, torch.Generator().manual_seed(1)
        self.mean = codes.mean(0)
        mapping.w_avg.copy_(self.mean)
        values, vectors = torch.linalg.eigh(torch.cov(codes.T))
        self.root = vectors * values.clamp(min=0).sqrt()  # z @ root.T has the codes' covariance
        self.scale = (values + FLOOR).rsqrt(), vectors

    def gaussian(self, z: torch.Tensor) -> torch.Tensor:
        """The straight answer: codes ``[N, D]`` of z ``[N, Z]``, Z = D, with the mean and covariance of all codes."""
        return self.mean + z @ self.root.T

    def whitened(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes on axes of variance up to 1, as the critic sees them: what is below the noise of training stays small."""
        return (codes - self.mean) @ self.scale[1] * self.scale[0]

    def latents(self, count: int = BATCH) -> torch.Tensor:
        z = torch.randn(count, self.codes.shape[1], generator=self.random)
        return z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()

    @torch.no_grad()
    def start_straight(self) -> None:
        """Make the mapping the straight answer, exactly: leaky units in pairs of opposite sign carry a linear map through every layer.

        The last two layers also undo the activation that ends the network: -5 lrelu(-a) is what lrelu takes to a. Units that are not
        needed keep their random weights and are not listened to yet.
        """
        width, slope = self.codes.shape[1], 0.2
        layers = [self.mapping.layer(k) for k in range(self.mapping.num_fc)]
        for layer in layers:
            layer.bias.zero_()
        pairs, listen = torch.cat([torch.eye(width), -torch.eye(width)]), torch.eye(width)  # [2D, D], and how x is read off a layer
        for k, layer in enumerate(layers[:-2]):
            _set(layer, pairs @ listen, listened=None if k == 0 else 2 * width)
            listen = torch.cat([torch.eye(width), -torch.eye(width)], 1) / (2**0.5 * (1 + slope))  # [D, 2D]
        _set(layers[-2], -self.root @ listen / 2**0.5, -self.mean / 2**0.5, listened=listen.shape[1])
        _set(layers[-1], -torch.eye(width) / (slope * 2**0.5), listened=width)

    def fit_critic(self, count: int) -> None:
        """Pull the mapping's codes to the distribution of the pictures' codes, against a critic with a gradient penalty."""
        critic, average = Critic(self.codes.shape[1]), Average(self.mapping, 0.998)
        optimizer = torch.optim.Adam(self.mapping.parameters(), betas=(0.0, 0.99))
        critic_optimizer = torch.optim.Adam(critic.parameters(), betas=(0.0, 0.99))
        for k in trange(count, desc="critic"):
            optimizer.param_groups[0]["lr"] = learning_rate(k, count, RATE)
            critic_optimizer.param_groups[0]["lr"] = learning_rate(k, count, CRITIC_RATE)
            self._step_critic(critic, critic_optimizer)
            fake = critic(self.whitened(self.mapping(self.latents())))
            optimizer.zero_grad()
            F.softplus(-fake).mean().backward()
            optimizer.step()
            average.update(self.mapping, k)
        self.mapping.load_state_dict(average.module.state_dict())

    def _step_critic(self, critic: Critic, optimizer: torch.optim.Optimizer) -> None:
        numbers = torch.randint(len(self.codes), (BATCH,), generator=self.random)
        real = self.whitened(self.codes[numbers]).requires_grad_()
        with torch.no_grad():
            fake = self.whitened(self.mapping(self.latents()))
        logits = critic(real)
        (slope,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
        loss = F.softplus(critic(fake)).mean() + F.softplus(-logits).mean() + PENALTY / 2 * slope.square().sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    @torch.no_grad()
    def likeness(self, draw, count: int = 2000) -> float:
        """Two-sample test by nearest neighbors: how often the nearest code to one is of its own kind, for the kind that finds its own
        more often; 0.5 means not told apart, 1 told apart everywhere."""
        real = self.whitened(self.codes[torch.randperm(len(self.codes), generator=self.random)[:count]])
        both = torch.cat([real, self.whitened(draw(self.latents(count)))])
        nearest = torch.cdist(both, both).fill_diagonal_(torch.inf).argmin(1)
        kind = torch.arange(len(both)) < len(real)
        own = (kind == kind[nearest]).float()
        return max(own[kind].mean().item(), own[~kind].mean().item())


def _set(layer: Linear, weight: torch.Tensor, bias: torch.Tensor | None = None, listened: int | None = None) -> None:
    """Give the first units of an equalized layer this ``weight [O, I]`` on its first inputs, and no weight on those after ``listened``."""
    rows, columns = weight.shape
    layer.weight[:rows] = 0
    if listened is not None:
        layer.weight[:, listened:] = 0
    layer.weight[:rows, :columns] = weight / layer.weight_gain
    if bias is not None:
        layer.bias[:rows] = bias / layer.bias_gain


def inverter_of(encoder: CompactEncoder, num_layers: int) -> CompactEncoder:
    """The encoder as an inverter: its one row for all layers."""
    whole = CompactEncoder({**encoder.config, "num_layers": num_layers})
    state = encoder.state_dict()
    for name in ("head.weight", "head.bias"):
        state[name] = state[name].repeat(num_layers, *[1] * (state[name].ndim - 1))
    whole.load_state_dict(state)
    return whole.eval()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--run", type=Path, default=Path("runs/label_free"), help="folder of micromotion.lab.train_label_free")
    parser.add_argument("--pictures", type=Path, required=True, help="the pictures that it was trained on")
    parser.add_argument("--count", type=int, default=40_000, help="pictures whose codes are used")
    parser.add_argument("--steps", type=int, default=4000, help="of the critic")
    parser.add_argument("--save", type=Path, help="folder for generator.safetensors and inverter.safetensors (16 bit)")
    args = parser.parse_args(arguments)
    pictures = PictureSet(args.pictures)
    generator, encoder = read_run(args.run, pictures.size)
    settle(encoder, pictures)
    prior = Prior(generator.mapping, codes_of(encoder, pictures, args.count))
    prior.start_straight()
    figures = {"likeness_gaussian": prior.likeness(prior.mapping)}
    prior.fit_critic(args.steps)
    figures["likeness"] = prior.likeness(prior.mapping)
    print(json.dumps(figures))
    write_samples(generator, args.run / "samples.png")
    if args.save:
        write(generator, encoder, args.save)


@torch.no_grad()
def write_samples(generator: Generator, path: Path) -> None:
    """Drawn faces at truncation 1 (two rows), .7 and .5 (a row each)."""
    z = torch.randn(20, generator.architecture.z_dim, generator=torch.Generator().manual_seed(0))
    codes = torch.cat([generator.map(z), generator.map(z[:10], 0.7), generator.map(z[:10], 0.5)])
    save_sheet(F.interpolate(generator.synthesize(codes, "none"), size=96, mode="nearest-exact"), 10, path)


def write(generator: Generator, encoder: CompactEncoder, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save(generator, folder / "generator.safetensors", dtype=torch.float16)
    inverter = EncoderInverter(inverter_of(encoder, generator.num_layers), start="zero", passes=1)
    card = {"domain": DOMAIN, "generator": load(folder / "generator.safetensors").fingerprint, "encoder_type": "CompactEncoder"}
    save_inverter(inverter, folder / "inverter.safetensors", dtype=torch.float16, **card)


if __name__ == "__main__":
    main()
