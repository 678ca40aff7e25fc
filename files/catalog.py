"""The known public files: where they are, what they weigh, whose they are, and where they belong. Nothing here is fetched unasked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from .download import DownloadError, fetch

# Folders under ComfyUI's models folder (or any folder of one's own).
GENERATORS = "stylegan2"
INVERTERS = "stylegan2_inverters"
IDENTITY = "stylegan2_identity"
SCORERS = "micromotion_scorers"
MOTIONS = "micromotion"
LANDMARKS = "dlib"

NVIDIA = "NVIDIA Source Code License: research and evaluation only, not commercial"
NVIDIA_INSIDE = "code MIT; the weights derive from NVIDIA's generator: research and evaluation only"
IBUG = "dlib's model repository is CC0, but the training data (iBUG 300-W) exclude commercial use"
ARCFACE = "code MIT; trained on a public face data set of unclear terms"
MIT = "MIT"

PEOPLE, PAINTINGS, ANIMALS = "photos of people", "paintings", "animals"
KINDS = {
    GENERATORS: "generator",
    INVERTERS: "inverter",
    MOTIONS: "motions",
    SCORERS: "scorer",
    LANDMARKS: "landmarks",
    IDENTITY: "identity",
}


@dataclass(frozen=True)
class Entry:
    """One public file. ``size`` (bytes) and ``sha256`` are None where nobody publishes them.

    ``packed_sha256`` is that of the download where it arrives as bzip2 and is unpacked; ``page`` is where to fetch it by hand.
    """

    name: str
    file: str
    folder: str
    url: str
    license: str
    about: str
    size: int | None = None
    sha256: str | None = None
    packed_sha256: str | None = None
    page: str | None = None

    @property
    def subject(self) -> str:
        """What it is for: one of PEOPLE, PAINTINGS, ANIMALS."""
        words = {PAINTINGS: ("metfaces", "toonify"), ANIMALS: ("afhq", "lsundog")}
        return next((subject for subject, marks in words.items() if any(mark in self.name for mark in marks)), PEOPLE)

    @property
    def kind(self) -> str:
        """A value of KINDS."""
        return KINDS[self.folder]

    @property
    def choice(self) -> str:
        """How it is listed: subject, kind, name."""
        return f"{self.subject} / {self.kind} / {self.name}"

    @property
    def target(self) -> str:
        """Folder and file name under the models folder."""
        return f"{self.folder}/{self.file}"

    def __str__(self) -> str:
        size = f", {self.size:,} bytes" if self.size else ""
        return f"{self.name}: {self.about}{size} ({self.license}), {self.page or self.url} -> models/{self.target}"


def _drive(name: str, file: str, identifier: str, about: str, folder: str, license: str) -> Entry:
    url = f"https://drive.usercontent.google.com/download?id={identifier}&export=download&confirm=t"
    return Entry(name, file, folder, url, license, about, page=f"https://drive.google.com/file/d/{identifier}/view")


def _inverter(name: str, file: str, identifier: str, about: str) -> Entry:
    return _drive(name, file, identifier, about, INVERTERS, NVIDIA_INSIDE)


_ADA = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/"
_SG3 = "https://api.ngc.nvidia.com/v2/models/nvidia/research/stylegan2/versions/1/files/"
_TF = "https://nvlabs-fi-cdn.nvidia.com/stylegan2/networks/"
_TF_ADA = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada/pretrained/"
_AUTHORS = "https://raw.githubusercontent.com/wuqiuche/micromotion-styleGAN/d4ff949b0d08814f49603850bb50a98346905a7b/pregen_latents/"

# Size in bytes and SHA-256 of those files of which somebody publishes them.
_KNOWN = {
    "ffhq": (381_624_121, "a205a346e86a9ddaae702e118097d014b7b8bd719491396a162cca438f2f524c"),
    "ffhq-rosinality": (381_462_551, "bae494ef77e32a9cd1792a81a3c167692a0e64f6bcd8b06592ff42917e2ed46e"),
    "e4e": (1_201_649_680, "2ace1d9a8c05c10a399bcd500b8dda118f759ff1aac89dbdab7435f2136a0999"),
    "arcface": (175_367_323, "a035c768259b98ab1ce0e646312f48b9e1e218197a0f80ac6765e88f8b6ddf28"),
    "clip-vit-b-32-openai": (None, "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"),
    "landmarks": (99_693_937, "fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f"),
    "direction-smile": (37_624, "f91b21a9c9bf17b49799e873c1864118d9e72510769c112e8e553aca1d6a3fd4"),
    "direction-angry": (37_624, "5132218d645ef613a9148958c5286cb8b879f60c6a3145a753639f304a38f9ff"),
    "direction-aging": (37_624, "b00d9bb8ab03da8d63c1b0bea89bf7e2da7c36d0a049ba10c56c7432e865fdaf"),
    "direction-aging-baseline": (37_624, "cef76db8e3551d7e7cf143dee25023cb6f49dfe6f25c3eb68f83ad92dd9f7891"),
    "direction-aging-gray-hair": (37_611, "2220c64c95c2a4dfc863909cf606b9ea65655314661a17683120c736caea1f03"),
    "direction-eyes-close": (37_624, "8d73d5175eb69fd1797fc1e6fb632d2dd51689877b0dd0241f8be2f92b6aa0fd"),
    "direction-heads-turn": (37_624, "00452120b2d87dd79ac05557238970abcbdf6157819283c260944912e5e80c61"),
}

_GENERATORS = (
    Entry("ffhq", "ffhq.pkl", GENERATORS, _ADA + "ffhq.pkl", NVIDIA, "StyleGAN2 of photos of faces, 1024 px"),
    _drive(
        "ffhq-rosinality",
        "stylegan2-ffhq-config-f.pt",
        "1EM87UquaoQmk17Q8d5kYIAHqu0dkYqdT",
        "the same network as the inversion repositories use it, 1024 px",
        GENERATORS,
        "converted NVIDIA weights: research and evaluation only",
    ),
    _drive(
        "ffhq-256-rosinality",
        "550000.pt",
        "1PQutd-JboOCOZqmd95XWxWrO8gGEvRcO",
        "StyleGAN2 of photos of faces, 256 px, trained by rosinality: quick on a processor",
        GENERATORS,
        "code MIT; trained on FFHQ, whose pictures are CC BY-NC-SA 4.0",
    ),
    *(
        Entry(f"ada-{name}", f"{name}.pkl", GENERATORS, f"{_ADA}{name}.pkl", NVIDIA, f"StyleGAN2-ADA of {name}")
        for name in ("metfaces", "afhqcat", "afhqdog", "afhqwild")
    ),
    *(
        Entry(f"sg3-{name}", f"stylegan2-{name}.pkl", GENERATORS, f"{_SG3}stylegan2-{name}.pkl", NVIDIA, f"StyleGAN2 of {name}")
        for name in (
            *("ffhq-1024x1024", "ffhq-512x512", "ffhq-256x256", "ffhqu-1024x1024", "ffhqu-256x256"),
            *("metfaces-1024x1024", "metfacesu-1024x1024", "afhqv2-512x512", "afhqcat-512x512", "afhqdog-512x512"),
            *("afhqwild-512x512", "celebahq-256x256", "lsundog-256x256"),
        )
    ),
    Entry(
        "tf-ffhq",
        "stylegan2-ffhq-config-f.pkl",
        GENERATORS,
        _TF + "stylegan2-ffhq-config-f.pkl",
        NVIDIA,
        "the original TensorFlow StyleGAN2 of faces, 1024 px",
    ),
    Entry("tf-ada-ffhq", "tf-ada-ffhq.pkl", GENERATORS, _TF_ADA + "ffhq.pkl", NVIDIA, "TensorFlow StyleGAN2-ADA of faces, 1024 px"),
)

_INVERTERS = (
    _inverter(
        "restyle-psp",
        "restyle_psp_ffhq_encode.pt",
        "1sw6I2lRIB0MpuJkpc8F5BJiSZrc0hjfE",
        "ReStyle-pSp of faces, the inverter of the published method",
    ),
    _inverter("restyle-e4e", "restyle_e4e_ffhq_encode.pt", "1e2oXVeBPXMQoUoC_4TNwAWpOPpSEhE_e", "ReStyle-e4e of faces"),
    _inverter(
        "restyle-psp-afhq-wild",
        "restyle_psp_afhq_wild_encode.pt",
        "1GyFXVTNDUw3IIGHmGS71ChhJ1Rmslhk7",
        "ReStyle-pSp of wild animals, with its generator",
    ),
    _inverter(
        "restyle-psp-toonify",
        "restyle_psp_toonify.pt",
        "1GtudVDig59d4HJ_8bGEniz5huaTSGO_0",
        "ReStyle-pSp from photos of faces to cartoons, with its generator",
    ),
    _inverter("psp", "psp_ffhq_encode.pt", "1bMTNWkh5LArlaWSc_wa8VKyq2V42T2z0", "pSp of faces"),
    _inverter("e4e", "e4e_ffhq_encode.pt", "1cUv_reLE6k3604or78EranS7XzuVMWeO", "e4e of faces"),
)

_OTHERS = (
    Entry(
        "arcface",
        "model_ir_se50.pth",
        IDENTITY,
        "https://github.com/xinntao/facexlib/releases/download/v0.1.0/recognition_arcface_ir_se50.pth",
        ARCFACE,
        "ArcFace IR-SE50, the identity term",
    ),
    Entry(
        "clip-vit-b-32",
        "clip_vit_b_32.safetensors",
        SCORERS,
        "https://huggingface.co/timm/vit_base_patch32_clip_224.openai/resolve/main/open_clip_model.safetensors",
        MIT,
        "OpenAI's CLIP ViT-B/32 as an open_clip file, the text scorer of the published method",
    ),
    Entry(
        "clip-vit-b-32-openai",
        "ViT-B-32.pt",
        SCORERS,
        f"https://openaipublic.azureedge.net/clip/models/{_KNOWN['clip-vit-b-32-openai'][1]}/ViT-B-32.pt",
        MIT,
        "the same as OpenAI published it: a TorchScript program, read for its numbers and not run",
    ),
    Entry(
        "landmarks",
        "shape_predictor_68_face_landmarks.dat",
        LANDMARKS,
        "https://dlib.net/files/shape_predictor_68_face_landmarks.dat.bz2",
        IBUG,
        "dlib's 68 face landmarks",
        packed_sha256="7d6637b8f34ddb0c1363e09a4628acb34314019ec3566fd66b80c04dda6980f5",
    ),
)

_DIRECTIONS = tuple(
    Entry(f"direction-{name}", f"{path.replace('/d_latent', '')}.pt", MOTIONS, _AUTHORS + path, MIT, f"the authors' {about} (FFHQ 1024 px)")
    for name, path, about in (
        ("smile", "smile/d_latent", "smile"),
        ("angry", "angry/d_latent", "anger"),
        ("aging", "aging/d_latent", "aging"),
        ("aging-baseline", "aging/d_latent_baseline", "aging, baseline"),
        ("aging-gray-hair", "aging/d_latent_oldGrayHair", "aging with gray hair"),
        ("eyes-close", "eyesClose/d_latent", "closing eyes"),
        ("heads-turn", "headsTurn/d_latent", "head turn"),
    )
)

ENTRIES: tuple[Entry, ...] = tuple(
    replace(entry, **dict(zip(("size", "sha256"), _KNOWN.get(entry.name, ()))))
    for entry in (*_GENERATORS, *_INVERTERS, *_OTHERS, *_DIRECTIONS)
)


SETS: dict[str, tuple[str, ...]] = {
    "photos": ("ffhq-rosinality", "e4e", "clip-vit-b-32-openai", "landmarks", *(entry.name for entry in _DIRECTIONS)),
}
EVERYTHING = "everything for photos"


def find(name: str) -> Entry:
    """The entry of that name or file name; raises DownloadError with the known names."""
    for entry in ENTRIES:
        if name in (entry.name, entry.file):
            return entry
    raise DownloadError(f"There is no {name!r} in the catalog. Known: {', '.join([*(e.name for e in ENTRIES), *SETS])}.")


def grouped() -> list[Entry]:
    """The entries by subject, then by kind."""
    subjects, kinds = (PEOPLE, PAINTINGS, ANIMALS), list(KINDS.values())
    return sorted(ENTRIES, key=lambda e: (subjects.index(e.subject), kinds.index(e.kind)))


def choices() -> list[str]:
    """What can be asked for, grouped: everything for photos, then subject / kind / name."""
    return [EVERYTHING, *(e.choice for e in grouped())]


def listing() -> str:
    """The whole catalog, a line for each file, under headings of subject and kind."""
    groups = groupby(grouped(), key=lambda e: f"{e.subject}, {e.kind}")
    parts = ["\n".join([f"{heading}:", *(f"  {entry}" for entry in entries)]) for heading, entries in groups]
    return "\n\n".join([*parts, f"{EVERYTHING}, as one choice: {', '.join(SETS)}."])


def wanted(what: str) -> tuple[Entry, ...]:
    """The files behind a name, a file name, a set, or one of ``choices``. Raises DownloadError."""
    if what in SETS or what == EVERYTHING:
        return tuple(find(name) for name in SETS["photos" if what == EVERYTHING else what])
    return (next((entry for entry in ENTRIES if entry.choice == what), None) or find(what),)


def terms(entries: Iterable[Entry]) -> str:
    """What would be fetched, from where, to where and under which terms: a line for each file."""
    entries = tuple(entries)
    known = [entry.size for entry in entries if entry.size]
    sizes = [f"{sum(known) / 1e6:,.1f} MB"] * bool(known) + ["what has no published size"] * (len(known) < len(entries))
    return "\n".join([*map(str, entries), f"{len(entries)} file{'s' * (len(entries) > 1)}, {' and '.join(sizes)}."])


def by_hash(sha256: str) -> Entry | None:
    """The entry whose file has this SHA-256."""
    return next((e for e in ENTRIES if e.sha256 == sha256), None)


def advice(folder: str = GENERATORS, limit: int = 2) -> str:
    """What to put into an empty ``folder``: names, sizes, licenses, sources, and the command that fetches them."""
    known = [e for e in ENTRIES if e.folder == folder]
    if not known:
        return f"Put files into models/{folder}."
    listed = "; ".join(str(e) for e in known[:limit])
    more = f"; and {len(known) - limit} more" if len(known) > limit else ""
    return f"Known public files: {listed}{more}. `micromotion download {known[0].name} --accept` fetches one."


def download(name: str, folder: str | Path, progress: Callable[[int, int, Any], None] | None = None) -> Path:
    """Fetch the catalog's ``name`` into ``folder`` and return its path; an existing file that verifies is kept.

    Resumes what an earlier attempt left, compares size and SHA-256, and renames into place only what is right.
    ``progress(done, total, None)`` counts bytes; total is 0 where unknown; it may raise to cancel. Raises DownloadError.
    """
    entry = find(name)
    return fetch(
        entry.url,
        Path(folder) / entry.file,
        size=entry.size,
        sha256=entry.sha256,
        packed_sha256=entry.packed_sha256,
        page=entry.page,
        progress=progress,
    )
