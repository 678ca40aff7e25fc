"""Inverter files: the published ``.pt`` checkpoints (pSp, e4e, ReStyle) and our own ``.safetensors``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path

import torch

from ...files import native
from ...files.budget import border
from ...files.reading import read_file
from .encoder_files import KIND, SUPPORTED, build_encoder, check_size, checked_count, described, is_count, known_type, read_native_encoder
from .encoders import ENCODER_TYPES, EncoderConfig
from .errors import InversionError
from .feedforward import EncoderInverter
from .inverter import InverterCard, generator_mark

NO_MEAN = "The file has no mean code; the encoder's offsets are added to the mean code of the generator that it is used with."
WHOLE_CODES = "The encoder writes whole codes rather than offsets to a mean code, as its options say (start_from_latent_avg is false)."


def load_inverter(path: str | Path, *, encoder_type: str | None = None) -> EncoderInverter:
    """Load an inverter, frozen, float32, on the CPU, executing nothing from the file.

    ``encoder_type`` overrides the one written in a ``.pt`` file; old files that lack it are read as non-progressive (pSp) and
    say so in ``card.notes``. Raises InversionError if the file holds no inverter, CheckpointError if it cannot be read.
    """
    path = Path(path)
    with border(path.name, InversionError):
        if path.suffix == ".safetensors":
            return _load_native(path)
        return inverter_from_checkpoint(read_file(path, SUPPORTED), str(path), encoder_type=encoder_type, size=path.stat().st_size)


def inverter_from_checkpoint(data: object, path: str = "", *, encoder_type: str | None = None, size: int | None = None) -> EncoderInverter:
    """Build the inverter from a decoded checkpoint ``{state_dict, opts, latent_avg}`` (or its flat state dict) of ``size`` bytes."""
    state, opts, latent_avg = _unpack(data, path)
    if size is not None:
        check_size(state, path, size)
    encoder = {k.removeprefix("encoder."): v for k, v in state.items() if k.startswith("encoder.")}
    if not encoder:
        raise InversionError(f"{path} holds {_found(state)}, no encoder. {SUPPORTED}")
    named, notes = _encoder_type(opts, encoder, encoder_type)
    network = build_encoder(encoder, named, path, _layers(state, latent_avg))
    config = network.config
    const = state.get("decoder.input.input")
    iterative = config.body.channels_in == 6
    start, reason = _start(opts, latent_avg, iterative=iterative)
    domain, foreign = _domain(str(opts.get("dataset_type", ""))[:60])
    notes = tuple(n for n in (*notes, reason, foreign) if n)
    card = InverterCard(
        encoder_type=named,
        format=_family(config),
        path=path,
        domain=domain,
        generator_mark=generator_mark(const[0]) if const is not None and const.ndim == 4 else "",
        notes=notes,
    )
    passes = opts.get("n_iters_per_batch") if iterative else None
    return EncoderInverter(network, start=start, passes=passes if is_count(passes) else None, card=card)


def save_inverter(inverter: EncoderInverter, path: str | Path, *, dtype: torch.dtype = torch.float32, **card) -> None:
    """Write a native ``.safetensors`` inverter.

    ``dtype`` float16 halves the file. ``card`` replaces fields of the inverter's card: ``domain``, ``typical_psnr``,
    ``generator`` (a fingerprint), ``notes``, ``extra`` (free JSON).
    """
    known = {f.name for f in fields(InverterCard)}
    if unknown := set(card) - known:
        raise InversionError(f"An inverter file has no field {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}.")
    config = inverter.encoder.config
    style = isinstance(config, EncoderConfig)
    header = {
        "encoder": "style" if style else "compact",
        "config": {"encoder_type": config.encoder_type, "num_layers": config.num_layers} if style else config,
        "input_size": inverter.input_size,
        "channels_in": inverter.channels_in,
        "start": inverter.start,
        "passes": inverter.passes,
        "card": {**asdict(inverter.card), "path": "", **card},
    }
    tensors = {f"encoder.{k}": v for k, v in inverter.encoder.state_dict().items() if not k.endswith("num_batches_tracked")}
    if inverter.w_avg is not None:
        tensors["w_avg"] = inverter.w_avg
    native.write(path, KIND, header, {k: native.narrowed(v, dtype) for k, v in tensors.items()})


def _load_native(path: Path) -> EncoderInverter:
    header, tensors, network = read_native_encoder(path)
    with described(path):
        start = tensors["w_avg"].float() if header["start"] == "file" else header["start"]
        sizes = {"input_size": header["input_size"], "channels_in": header["channels_in"]}
        return EncoderInverter(
            network, **sizes, start=start, passes=checked_count(header["passes"]), card=_native_card(header["card"], path)
        )


def _native_card(data: dict, path: Path) -> InverterCard:
    """The stored card; fields of a wrong type are refused, so that no caller meets them later."""
    psnr, extra, notes = data.get("typical_psnr"), data.get("extra", {}), data.get("notes", [])
    texts = {k: data.get(k, "") for k in ("encoder_type", "format", "domain", "generator", "generator_mark")}
    if not all(isinstance(t, str) for t in (*texts.values(), *notes)) or not isinstance(extra, dict):
        raise TypeError("its card has a field of a wrong type")
    return InverterCard(**texts, path=str(path), typical_psnr=None if psnr is None else float(psnr), extra=extra, notes=tuple(notes))


def _unpack(data: object, path: str) -> tuple[dict[str, torch.Tensor], dict, torch.Tensor | None]:
    if not isinstance(data, Mapping):
        raise InversionError(f"{path} holds a {type(data).__name__}, no checkpoint. {SUPPORTED}")
    state = data.get("state_dict", data)
    opts = data.get("opts")
    opts = {k: v for k, v in opts.items() if isinstance(v, bool | int | float | str)} if isinstance(opts, Mapping) else {}
    if not isinstance(state, Mapping):
        raise InversionError(f"{path} has no state_dict of tensors. {SUPPORTED}")
    tensors = {k.removeprefix("module."): v for k, v in state.items() if isinstance(k, str) and isinstance(v, torch.Tensor)}
    latent_avg = data.get("latent_avg")
    return tensors, opts, latent_avg if isinstance(latent_avg, torch.Tensor) else None


def _encoder_type(opts: dict, encoder: dict, asked: str | None) -> tuple[str, tuple[str, ...]]:
    """The encoder type, and a note where it had to be guessed: no tensor tells e4e from pSp."""
    named = asked or opts.get("encoder_type")
    if named is None:
        guess = _guess_type(opts, encoder)
        return guess, (f"The file does not name its encoder; read as {guess}. If faces come out wrong, give encoder_type.",)
    return known_type(named), ()


def _guess_type(opts: dict, encoder: dict) -> str:
    resnet = "ResNet" if "conv1.weight" in encoder else ""
    progressive = any(k in opts for k in ("stylegan_size", "progressive_start", "delta_norm_lambda"))
    if "latlayer1.weight" in encoder:
        return "Encoder4Editing" if progressive and not resnet else f"{resnet}GradualStyleEncoder"
    if "linear.weight" in encoder:
        joint = "output_layer_2.3.weight" in encoder
        return "BackboneEncoderUsingLastLayerIntoWPlus" if joint else "BackboneEncoderUsingLastLayerIntoW"
    return f"{resnet}{'Progressive' if progressive else ''}BackboneEncoder"


def _start(opts: dict, latent_avg: torch.Tensor | None, *, iterative: bool) -> tuple[torch.Tensor | str, str]:
    """What the offsets are added to, and a remark where that is not a mean code of the file.

    ``start_from_latent_avg`` is True in every published file, and ReStyle never asks for it.
    """
    if not iterative and not opts.get("start_from_latent_avg", True) and not opts.get("learn_in_w", False):
        return "zero", WHOLE_CODES
    return ("generator", NO_MEAN) if latent_avg is None else (latent_avg, "")


def _domain(dataset: str) -> tuple[str, str]:
    """What an inverter was trained on, in words, and a remark where it is not faces."""
    if not dataset or "ffhq" in dataset:
        return "FFHQ photos" if dataset else "", ""
    name = dataset.removesuffix("_encode")
    if any(word in name for word in ("celeb", "toonify", "face", "avatar")):
        return name, ""
    wide = " Its pictures are four wide to three high; give them squeezed into a square." if "car" in name else ""
    return name, f"This inverter was made for {name!r} pictures, not for faces: it needs the generator of that domain.{wide}"


def _layers(state: dict[str, torch.Tensor], latent_avg: torch.Tensor | None) -> int | None:
    """Code rows by the decoder in the file: one per rosinality convolution, one more for the last toRGB."""
    convs = {k.split(".")[2] for k in state if k.startswith("decoder.convs.")}
    if convs:
        return len(convs) + 2
    return len(latent_avg) if latent_avg is not None and latent_avg.ndim == 2 and is_count(len(latent_avg)) else None


def _family(config: EncoderConfig) -> str:
    progressive = config.encoder_type and ENCODER_TYPES.get(config.encoder_type, ("", False))[1]
    name = "e4e" if progressive or config.encoder_type == "SingleStyleCodeEncoder" else "pSp"
    return f"ReStyle-{name}" if config.body.channels_in == 6 else name


def _found(state: dict) -> str:
    if not state:
        return "no tensors"
    if any(k.startswith(("convs.", "decoder.convs.", "synthesis.")) for k in state):
        return "a generator"
    if any(k.startswith("output_layer.3") for k in state):
        return "an identity network (ArcFace)"
    return f"tensors named {ascii(next(iter(state)))[:60]} and so on"
