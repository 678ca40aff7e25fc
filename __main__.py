"""The command line: ``micromotion COMMAND``, also ``python -m micromotion COMMAND``; ``--help`` lists the commands."""

from __future__ import annotations

import argparse
import importlib
import io
import logging
import os
import sys
from pathlib import Path

from .files import limits

FAVORITE = 78
FACTORS = ("smile", "eyes", "anger", "turn", "age")
QUANTITIES = ("mouth width", "corner lift", "mouth opening", "eye opening", "brow height", "yaw", "pitch")
EASINGS = ("linear", "ease", "ease_in", "ease_out", "smoother", "sine")
OPERATIONS = ("add", "subtract", "negate", "scale", "without", "restrict", "merge", "cosines")
PAIR_LAYOUTS = ("pairs", "imagefolder", "sliders", "webdataset", "parquet")
SPACES = ("w+", "w")
SEEDS_OF = ("micromotion", "nvidia")
QUALITIES = ("exact", "fast")
ESTIMATORS = ("theil_sen", "rpca", "pca", "secant", "published", "least_squares")
DEVICE = "auto (a GPU where there is one), cpu, cuda, cuda:1, mps"

DESCRIPTION = """\
Make a face move: a micromotion (smile, anger, closing eyes, head turn, aging, or what a text or a clip
describes) is a direction in a StyleGAN2's W+ space, and a coefficient says how far to go along it."""

EXAMPLES = """\
examples:
  micromotion animate                                     the paper's five motions on an embedded avatar
  micromotion animate --seed 7 --motion smile             one motion on another avatar
  micromotion animate --motion nod --motion wink_left     others of the twelve ready ones: mouth_open, brows, gaze,
                                                          nod, tilt, wink_left, wink_right
  micromotion animate --text "a person with {degree} smile"
                                                          a motion decoded from a text, then swept
  micromotion animate face.png --generator ffhq.pkl --inverter restyle.pt --motion my-smile.safetensors
                                                          your photo, with your own FFHQ files
  micromotion fit "a {degree} old person with gray hair" old.safetensors
                                                          decode a motion once, keep it as a small file
  micromotion fit clip.mp4 shake.safetensors              the same from a clip of a moving face
  micromotion animate --motion smile --motion turn --drive clip.mp4
                                                          what a clip does, on another face
  micromotion calibrate smile.safetensors even.safetensors --full "a person with 100% smile" --none "a person with no smile"
                                                          measure how far a motion holds
  micromotion combine without smile age --out pure.safetensors
                                                          a smile that leaves the age alone
  micromotion inspect ffhq.pkl                            what a file holds, without running anything in it
  micromotion convert ffhq.pkl ffhq.safetensors           a safe copy that loads faster
  micromotion download                                    the known public files, their licenses and folders
  micromotion dataset pairs --motion smile=-0.5,0.5,1     training pairs of known strength
  micromotion doctor                                      what a bug report needs

"micromotion COMMAND --help" lists a command's options. The embedded models know rendered avatars only;
for photos load an FFHQ generator and its inverter."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one sentence."""

    def error(self, message: str):
        self.exit(2, f"{self.prog}: {message} ({self.prog} --help lists the options)\n")


def within(limit: limits.Limit):
    """What argparse makes a number with: one that the limit holds, or a sentence that says what is allowed."""

    def number(text: str) -> float:
        try:
            value = (int if limit.whole else float)(text)
        except ValueError:
            value = None
        if value is None or not limit.holds(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {limit}")
        return value

    return number


def template(text: str) -> str:
    """A text with a place for the degree."""
    if "{degree}" not in text:
        raise argparse.ArgumentTypeError(f'{text!r} has no {{degree}} in it; write for example "a person with {{degree}} smile"')
    return text


def _number(parser, name: str, limit: limits.Limit, text: str, default: float | None = None, **rest) -> None:
    """Add an option that takes a number within ``limit``; its help ends in the default, where there is one."""
    known = "" if default is None else f" (default {default:g})"
    parser.add_argument(name, type=within(limit), default=default, help=text + known, **rest)


def _file(parser, name: str, text: str, metavar: str = "FILE") -> None:
    """Add an option that takes a path."""
    parser.add_argument(name, type=Path, metavar=metavar, help=text)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; nothing of the library is imported for it."""
    parser = Parser(prog="micromotion", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="store_true", help="print the version and end")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)
    for add in (_animate, _fit, _calibrate, _combine, _inspect, _convert, _download, _dataset, _doctor):
        add(commands)
    return parser


def _command(commands, name: str, summary: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
    parser.add_argument("--verbose", action="store_true", help="say where the time went, and more of what happens")
    return parser


def _models(parser: argparse.ArgumentParser) -> None:
    models = parser.add_argument_group("models (the embedded avatars unless given)")
    _file(models, "--generator", "a StyleGAN2 in any supported format")
    _file(models, "--inverter", "its inverter, needed for a face picture or a clip")
    models.add_argument(
        "--scorer", metavar="FILE", help="a text scorer, needed for a text: a file, or an open_clip name that was downloaded before"
    )
    models.add_argument("--device", default="auto", help=f"where to compute: {DEVICE}")


def _class(parser) -> None:
    parser.add_argument(
        "--class",
        dest="category",
        metavar="CLASS",
        help="of drawn faces, where the generator has classes: which, by number from 0 or by name",
    )


def _framing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--align",
        action="store_true",
        help="look for the face in the squares of drawn faces too; all others are always searched (with dlib)",
    )
    parser.add_argument("--anyway", action="store_true", help="go on with a picture that the inverter does not know")
    _file(parser, "--predictor", "dlib's 68-point landmark file, if it is not found without")


def _animate(commands) -> None:
    parser = _command(commands, "animate", "make a face move: writes a video and a contact sheet")
    parser.add_argument("image", nargs="?", type=Path, help="a picture of a face; without it an avatar is drawn from --seed")
    _number(parser, "--seed", limits.SEED, "which face of the generator to show without an image", default=FAVORITE)
    _number(parser, "--truncation", limits.TRUNCATION, "0: the mean face, 1: the full variety", default=0.7)
    parser.add_argument(
        "--seeds-of", choices=SEEDS_OF, default=SEEDS_OF[0], help="nvidia: --seed names the face that NVIDIA's own scripts show for it"
    )
    _class(parser)
    _file(
        parser, "--code", "a face that is kept as a code: of micromotion, or projected_w.npz, latents.pt, 0.pt and the like of other tools"
    )
    parser.add_argument("--face", metavar="NAME", help="which face of --code, by name or number (default: the first)")
    _framing(parser)
    _number(parser, "--invert-steps", limits.STEPS, "work on finding the image's code (default: the inverter's own)", metavar="N")
    what = parser.add_argument_group("motions (default: the ready ones, one after another)")
    what.add_argument(
        "--motion", action="append", default=[], metavar="NAME", help="a ready motion, a file, or FILE:NAME of many; repeat for several"
    )
    what.add_argument(
        "--text", action="append", default=[], type=template, metavar="TEMPLATE", help='such as "a person with {degree} smile"'
    )
    _number(what, "--steps", limits.STEPS, "optimization steps per anchor for a text")
    what.add_argument("--quality", choices=QUALITIES, help="of a text; fast: most steps look at smaller pictures (default: from 512 px on)")
    what.add_argument(
        "--neutralize",
        action="append",
        default=[],
        metavar="MOTION[=NAME]",
        help='first bring the face to rest along a motion, by what is measured of it, such as my-smile.pt="corner lift"'
        f" ({', '.join(QUANTITIES)}; ready motions know theirs; without a name the code's own coefficient); repeat for several",
    )
    what.add_argument("--together", action="store_true", help="apply all motions at once instead of one after another")
    how = parser.add_argument_group("sweep")
    how.add_argument(
        "--range",
        nargs=2,
        type=within(limits.COEFFICIENT),
        metavar=("LOW", "HIGH"),
        help="coefficients: 0 changes nothing, 1 is one unit (default: 0 to 1, calibrated motions a little less, two-sided ones both ways)",
    )
    _number(how, "--frames", limits.FRAMES, "frames of each motion, there and back", default=48)
    _number(how, "--fps", limits.FPS, "frames per second (default 24; that of the clip with --drive, whose sound is kept then)")
    how.add_argument(
        "--easing", choices=EASINGS, default="ease", help=f"how the coefficient moves: {', '.join(EASINGS)} (default ease)", metavar="NAME"
    )
    how.add_argument("--once", action="store_true", help="go to the end and stop there, instead of there and back")
    how.add_argument(
        "--keyframes",
        metavar="LIST",
        help='the coefficient at some frames, such as "0: 0, 12: 1, 36: -0.3"; the last leads on to the first, so that the clip loops',
    )
    _file(how, "--drive", "read the coefficients of all motions from a clip of another moving face", metavar="CLIP")
    how.add_argument(
        "--by",
        choices=QUANTITIES,
        metavar="NAME",
        help=f"read --drive by landmarks, without an inverter, and move all motions by one quantity: {', '.join(QUANTITIES)}",
    )
    _number(how, "--unit", limits.CHANGE, "which change of --by is coefficient 1 (default: the largest in the clip)", metavar="X")
    _number(how, "--smooth", limits.SMOOTH, "take this many frames of jitter out of --drive", default=1.0, metavar="N")
    where = parser.add_argument_group("output")
    where.add_argument(
        "--out",
        type=Path,
        default=Path("output/micromotion.mp4"),
        metavar="FILE",
        help="the video: .mp4, .mov, .mkv or .gif (default output/micromotion.mp4)",
    )
    _number(where, "--size", limits.SIZE, "enlarge smaller pictures to this many pixels", default=512)
    _models(parser)


def _fit(commands) -> None:
    parser = _command(commands, "fit", "decode a motion from a text or a clip into a small file")
    parser.add_argument(
        "source", help='a template such as "a person with {degree} smile", or a video, GIF, folder of pictures, or folder of videos'
    )
    parser.add_argument("out", type=Path, help="the motion file to write (.safetensors)")
    parser.add_argument(
        "--estimator", choices=ESTIMATORS, metavar="NAME", help=f"{', '.join(ESTIMATORS)} (default: theil_sen for text, rpca for clips)"
    )
    _number(parser, "--rank", limits.RANK, "how many components to keep", default=1)
    parser.add_argument("--joint", action="store_true", help="decompose all layers as one matrix instead of each for itself")
    _number(parser, "--sparsity", limits.SPARSITY, "weight of robust PCA's sparse part (default: by the anchors' number)", metavar="X")
    _layers(parser)
    parser.add_argument("--name", default="", help="a name for the motion (default: that of the file)")
    parser.add_argument("--license", default="", help="on what terms others may use it, kept in the file")
    text = parser.add_argument_group("from a text")
    _number(text, "--seed", limits.SEED, "first of the faces a text is decoded from", default=0)
    text.add_argument("--faces", "--seeds", type=within(limits.FACES), default=3, help="how many faces to pool for a text (default 3)")
    _class(text)
    _number(text, "--steps", limits.STEPS, "optimization steps per anchor for a text")
    degrees = 'what {degree} becomes, such as "no, 50%%, 100%%" (default: no, 10%% to 100%%; from 512 px on five)'
    text.add_argument("--degrees", metavar="LIST", help=degrees)
    text.add_argument("--negative", type=template, metavar="TEMPLATE", help="the opposite motion, for coefficients below 0")
    text.add_argument("--neutral", default="", metavar="TEXT", help='a text that fits every face, such as "a person"')
    text.add_argument("--space", choices=SPACES, help="w+: every row of a code moves on its own, as published; w: all rows move alike")
    _number(text, "--views", limits.VIEWS, "score N altered looks at each picture instead of the picture (published: 0)", metavar="N")
    text.add_argument("--quality", choices=QUALITIES, help="fast: most steps look at smaller pictures (default: from 512 px on)")
    _file(text, "--identity", "an ArcFace file (model_ir_se50.pth) that keeps the likeness")
    clip = parser.add_argument_group("from a clip")
    clip.add_argument(
        "--also", action="append", default=[], type=Path, metavar="CLIP", help="another clip of the same motion; repeat for more"
    )
    _number(clip, "--positive", limits.FRAME, "the frame of a clip that shows the motion most (counted from 0)", metavar="FRAME")
    clip.add_argument("--reverse", action="store_true", help="take the other end of the clip's motion as the positive one")
    _engine(parser.add_argument_group("engine, for many clips"))
    _framing(parser)
    _models(parser)


def _calibrate(commands) -> None:
    parser = _command(commands, "calibrate", "measure how far a motion holds, and set what one unit is")
    parser.add_argument("motion", help="a ready motion or a file")
    parser.add_argument("out", type=Path, help="the motion file to write (.safetensors)")
    by = parser.add_argument_group("instrument")
    by.add_argument("--full", metavar="TEXT", help="by the text scorer: what a face with the whole motion is, ")
    by.add_argument("--none", metavar="TEXT", help="and what one without it is; the difference of the two is measured")
    by.add_argument(
        "--factor", choices=FACTORS, help=f"by the embedded avatars' factor regressor: {', '.join(FACTORS)}; one unit is its whole range"
    )
    by.add_argument(
        "--geometry", choices=QUANTITIES, metavar="NAME", help=f"by landmarks of the face, for photos of people: {', '.join(QUANTITIES)}"
    )
    _number(by, "--change", limits.CHANGE, "by how much one unit should change the measured value (default: keep the unit)", metavar="X")
    _number(parser, "--component", limits.COMPONENT, "which component of a motion of higher rank", default=1)
    _number(parser, "--reach", limits.REACH, "how many units to look to both sides", default=1.5)
    _number(parser, "--seed", limits.SEED, "first of the faces it is measured on", default=0)
    _number(parser, "--faces", limits.FACES, "how many faces", default=8)
    _class(parser)
    _models(parser)


def _combine(commands) -> None:
    parser = _command(commands, "combine", "make one motion of several, or compare them")
    parser.add_argument(
        "operation",
        choices=OPERATIONS,
        metavar="OPERATION",
        help="add or subtract the others; negate; scale by --weight; without: take out what leaks into the others; restrict to --layers;"
        " merge: the middle of several versions of one motion; cosines: print how much they resemble one another",
    )
    parser.add_argument("motions", nargs="+", metavar="MOTION", help="ready motions or files; the first is the one that is changed")
    _file(parser, "--out", "the motion file to write (.safetensors); needed for all but cosines")
    _owner(parser)
    _number(parser, "--weight", limits.FACTOR, "how much of the others, or the factor of scale", default=1.0)
    parser.add_argument("--per-layer", action="store_true", help="without: in every layer for itself, which takes out more")
    _layers(parser)
    parser.add_argument("--name", default="", help="a name for the motion (default: that of the file)")


def _layers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--layers", metavar="LAYERS", help='rows of the code that may move: coarse, middle, fine, or "0-3, 7" (default: all)'
    )


def _inspect(commands) -> None:
    parser = _command(commands, "inspect", "print what a model or motion file holds, executing nothing in it")
    parser.add_argument("file", type=Path)
    _owner(parser)


def _convert(commands) -> None:
    parser = _command(commands, "convert", "write a generator, a direction or face codes as a safe .safetensors file")
    parser.add_argument("source", metavar="IN", help="a file of any tool; FILE:NAME or FILE:NUMBER takes one of many directions")
    parser.add_argument("out", type=Path, metavar="OUT.safetensors")
    parser.add_argument(
        "--as", dest="kind", choices=("face", "motion", "inverter"), help="what to take a file for: its codes, or its inverter"
    )
    _owner(parser)


def _owner(parser: argparse.ArgumentParser) -> None:
    _file(parser, "--generator", "whose codes or directions these are: it tells faces from motions, and fills layers")


def _download(commands) -> None:
    parser = _command(commands, "download", "list the known public files, or fetch some")
    parser.add_argument(
        "name", nargs="?", help="which one, or photos for all that photos need; without it they are listed with size, license and folder"
    )
    parser.add_argument("--accept", action="store_true", help="I accept the license: without it the terms are shown and nothing is fetched")
    _file(parser, "--to", "where to put it", metavar="FOLDER")


def _dataset(commands) -> None:
    parser = _command(commands, "dataset", "make training pairs: the same face before and after motions of known strength")
    parser.add_argument("out", metavar="OUT", help="the folder to write, or an address that fsspec knows (s3://...); run again to go on")
    parser.add_argument(
        "--motion",
        action="append",
        required=True,
        metavar="NAME[=STRENGTHS]",
        help='a ready motion or a file, with its coefficients: "smile", "smile=-0.5,0.5,1", or with --draws "smile=-1:1"',
    )
    parser.add_argument("--together", action="store_true", help="move all motions at once in every variant, not one motion in each")
    parser.add_argument(
        "--draws", type=within(limits.DRAWS), default=0, metavar="N", help="N random variants of each face instead of a grid"
    )
    whose = parser.add_argument_group("faces")
    whose.add_argument(
        "--faces",
        "--seeds",
        dest="seeds",
        type=within(limits.PAIR_FACES),
        metavar="N",
        help="N faces drawn by the generator, from --seed on (default 100)",
    )
    _file(whose, "--photos", "a folder of photos, which are aligned and inverted", metavar="FOLDER")
    whose.add_argument("--codes", type=Path, action="append", metavar="FILE", help="saved face codes")
    _number(whose, "--truncation", limits.TRUNCATION, "of drawn faces", default=0.7)
    _class(whose)
    whose.add_argument("--paste", action="store_true", help="--photos: whole photos with the change pasted in, not aligned squares")
    _number(whose, "--test", limits.SHARE, "share of the faces kept for testing", default=0.1, metavar="SHARE")
    _number(whose, "--seed", limits.SEED, "of the faces, the draws and the split", default=0)
    files = parser.add_argument_group("files")
    files.add_argument("--layout", choices=PAIR_LAYOUTS, default="pairs", help="what the trainer reads (default pairs)")
    files.add_argument("--format", choices=("png", "webp", "jpg"), default="png", help="of the pictures (default png)")
    files.add_argument(
        "--quality", type=within(limits.PERCENT), default=95, help="of webp and jpg, 1 to 100 (default 95; webp at 100 is lossless)"
    )
    _number(files, "--size", limits.SIZE, "width of the pictures in pixels (default: as drawn)")
    words = parser.add_argument_group("words ({degree} becomes slightly, nothing, or strongly)")
    words.add_argument("--instruction", metavar="TEXT", help='for positive strengths, such as "make the person smile {degree}"')
    words.add_argument("--opposite", metavar="TEXT", help="for negative strengths")
    words.add_argument("--caption", metavar="TEXT", help='of the result, such as "a person with a {degree} smile"')
    gate = parser.add_argument_group("quality (avatars are measured by their factors, other faces by dlib's landmarks)")
    _file(gate, "--identity", "an ArcFace file (model_ir_se50.pth) that measures the likeness")
    _number(gate, "--least-identity", limits.SHARE, "lowest identity cosine", default=0.9)
    _number(gate, "--least-change", limits.CHANGE_SHARE, "lowest share of the intended change", default=0.5)
    _number(gate, "--most-leakage", limits.CHANGE_SHARE, "largest other changes beside the intended one", default=0.5)
    gate.add_argument("--no-gate", action="store_true", help="keep every pair")
    parser.add_argument("--license", default="", help="of the generator, for the set's card (default: where it is known)")
    engine = parser.add_argument_group("engine")
    _engine(engine)
    _number(engine, "--threads", limits.THREADS, "of each worker on a CPU; the pictures depend on it", default=1, metavar="N")
    _number(
        engine, "--batch", limits.BATCH, "pictures made together; they depend on it (default: by the GPU's memory, else 1)", metavar="N"
    )
    _number(engine, "--shard", limits.SHARD, "faces in one unit of work", default=8, metavar="N")
    _models(parser)


def _engine(group) -> None:
    group.add_argument("--ray", nargs="?", const="local", metavar="ADDRESS", help="run on Ray: on this machine, or on the cluster there")
    _number(group, "--workers", limits.WORKERS, "--ray: how many processes (default: one for each GPU or core)", metavar="N")


def _doctor(commands) -> None:
    parser = _command(commands, "doctor", "print what a bug report needs: versions, devices, model files, optional packages")
    _file(parser, "--models", "the models folder to look into (default: ComfyUI's)", metavar="FOLDER")


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 2 with a sentence for what a user can mend, 130 when interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files hold what the encoding of some terminals lacks
            stream.reconfigure(errors="backslashreplace")
    parser = build_parser()
    args = parser.parse_args(arguments)
    if args.version:
        print(f"micromotion {importlib.import_module(__package__ or 'micromotion').__version__}")
        return 0
    if args.command is None:
        parser.print_help()
        return 0
    logging.basicConfig(level=logging.INFO if args.verbose else logging.WARNING, handlers=[_once()])
    try:
        _run(args)
        return 0
    except KeyboardInterrupt:
        return _end("interrupted", 130)
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter must not complain of it when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _explain(error, args.verbose)


def _once() -> logging.Handler:
    """A handler that says each sentence a single time: what holds for every chunk of a video need be read once."""
    from .cli.terminal import Plain

    handler, said = logging.StreamHandler(), set()
    handler.setFormatter(Plain("%(message)s"))
    handler.addFilter(lambda record: not (record.getMessage() in said or said.add(record.getMessage())))
    return handler


def _run(args: argparse.Namespace) -> None:
    # torch's threads spin while they wait for one another, which costs small networks most of their time on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from .cli.terminal import Clock, note

    clock = Clock()
    with clock.stage("start Python's libraries"):
        command = importlib.import_module(f".cli.{args.command}", __package__)
    command.run(args, clock)
    if args.verbose:
        note(clock.report())


def _explain(error: Exception, verbose: bool) -> int:
    """Say one sentence; errors that no user caused say so, and show their trace with --verbose."""
    from .cli.terminal import sentence_of

    if sentence := sentence_of(error):
        return _end(sentence, 2)
    if verbose:
        logging.getLogger(__name__).exception("This is the trace of the error:")
    return _end(f"unexpected {type(error).__name__}: {' '.join(str(error).split())} (--verbose shows the trace)", 1)


def _end(sentence: str, code: int) -> int:
    from .cli.terminal import note

    note(f"micromotion: {sentence}")
    return code


if __name__ == "__main__":
    sys.exit(main())
