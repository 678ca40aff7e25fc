"""The embedded generator without its last block, which was trained alone: the network whose pictures are measured, and motions made on.

That block only adds to the picture of 64 px, and changes nothing below it. So figures of 64 px hold for what lies below it, bit for bit.
"""

from __future__ import annotations

from dataclasses import replace

from ..stylegan2 import Generator
from ..stylegan2.inversion import EncoderInverter
from ..stylegan2.inversion.compact import CompactEncoder
from ..subspaces import Subspace
from .train_generator import TRUNK


def trunk_of(generator: Generator, resolution: int = TRUNK) -> Generator:
    """The generator up to the block of ``resolution``; itself where it has no further one."""
    if generator.resolution <= resolution:
        return generator
    arch = generator.architecture
    channels = {r: width for r, width in arch.channels.items() if r <= resolution}
    smaller = Generator(replace(arch, resolution=resolution, channels=channels)).eval().requires_grad_(False)
    kept = smaller.state_dict()
    smaller.load_state_dict({name: tensor for name, tensor in generator.state_dict().items() if name in kept})
    return smaller.to(generator.w_avg.device)


def inverter_for(inverter: EncoderInverter, generator: Generator) -> EncoderInverter:
    """The compact inverter for this generator, of which its own is the lower part, or the other way round: it leaves out the last rows, or
    gives each further one what the last one gets."""
    encoder, rows = inverter.encoder, generator.num_layers
    assert isinstance(encoder, CompactEncoder)
    resized, state = CompactEncoder({**encoder.config, "num_layers": rows}), encoder.state_dict()
    for name in ("head.weight", "head.bias"):
        state[name] = state[name].unflatten(0, (inverter.num_layers, -1))[_rows(inverter.num_layers, rows)].flatten(0, 1)
    resized.load_state_dict(state)
    card = replace(inverter.card, generator=generator.fingerprint)
    made = EncoderInverter(resized, input_size=inverter.input_size, channels_in=inverter.channels_in, passes=inverter.passes, card=card)
    return made.to(inverter.device)


def motion_for(subspace: Subspace, generator: Generator) -> Subspace:
    """The motion for this generator, of which the one that it was made with is the lower part, or the other way round."""
    rows = _rows(subspace.num_layers, generator.num_layers)
    layers = tuple(i for i, row in enumerate(rows) if row in subspace.layers)
    return replace(subspace, basis=subspace.basis[:, rows], layers=layers, fingerprint=generator.fingerprint)


def _rows(known: int, wanted: int) -> list[int]:
    """For each ``wanted`` row the one of the ``known`` rows that it takes after: itself, or the last."""
    return [min(row, known - 1) for row in range(wanted)]
