"""Every template and blueprint: what stands in them. ``make_workflows.py`` writes the files."""

from __future__ import annotations

from typing import Any

from graphs import MUTED, Graph, Inlet, Node, Subgraph, group, workflow
from hosts import catalog

AVATAR = "avatar (embedded)"
LABELS = {"smile": "smile", "eyes": "close eyes", "anger": "anger", "turn": "head turn", "age": "age"}
LABELS |= {"mouth_open": "open mouth", "nod": "nod", "wink_left": "wink"}  # the sliders' and rows' order
FIRST = 5  # sliders that stand before a subgraph's networks; those that came later stand at its end, so that no input changes its place
GHOSTS = 0.15  # at 128 px an inversion is never closer to an enlarged picture than this, and the difference still looks right
TURNED = {"blend": "fade", "shape": "square"}  # how faces are pasted whose heads turn: a difference would show both sets of edges
LIVE_SIDE = 448  # px of the live picture: as large as it is shown
PURPLE, BLUE, GREEN, BROWN = "#a1309b", "#3f789e", "#8A8", "#b58b2a"
CHECKPOINT = {
    "name": "v1-5-pruned-emaonly-fp16.safetensors",
    "url": "https://huggingface.co/Comfy-Org/stable-diffusion-v1-5-archive/resolve/main/v1-5-pruned-emaonly-fp16.safetensors",
    "directory": "checkpoints",
}
WAN = "https://huggingface.co/Comfy-Org/Wan_2.2_ComfyUI_Repackaged/resolve/main/split_files"


PHOTO_FILES = {"generator": "ffhq-rosinality", "inverter": "e4e", "motion": "direction-smile"}  # names of the catalog


def embedded(name: str) -> str:
    return f"{name} (embedded)"


def known(*kinds: str) -> dict:
    """The property by which the page tells where files come from that a node names and the disk lacks."""
    entries = (catalog.find(PHOTO_FILES[kind]) for kind in kinds)
    return {"models": [{"name": e.file, "url": e.page or e.url, "directory": e.folder} for e in entries]}


# Parts of subgraphs


def models(inner: Subgraph) -> tuple[Node, Node]:
    """The two networks, which the user of the subgraph chooses."""
    generator, inverter = inner.inlet("generator", "COMBO", AVATAR), inner.inlet("inverter", "COMBO", AVATAR)
    return (
        inner.add("LoadGenerator", properties=known("generator"), file=generator),
        inner.add("LoadInverter", properties=known("inverter"), file=inverter),
    )


def found(inner: Graph, image, **how) -> Node:
    """The square of a face: looked for in photos, the whole picture of avatars and drawings."""
    return inner.add("AlignFace", image=image, no_face="whole picture", **how)


def inverted(inner: Graph, networks: tuple[Node, Node], square: Node, **more) -> Node:
    return inner.add("InvertFace", generator=networks[0], inverter=networks[1], image=square["square"], **more)


def face_of(inner: Graph, image, networks: tuple[Node, Node], **how) -> tuple[Node, Node]:
    """A picture's square and its code."""
    square = found(inner, image, **how)
    return square, inverted(inner, networks, square)


def pasted(inner: Subgraph, photo, square: Node, generator: Node, still, moved, **how) -> tuple[Node, Node, Node]:
    """Both codes drawn, and their difference in the photo."""
    drawn = inner.add("Synthesize", title="Synthesize the moving face", generator=generator, codes=moved)
    rest = inner.add("Synthesize", title="Synthesize the face at rest", generator=generator, codes=still)
    puts = {"photo": photo, "faces": drawn["images"], "crop": square["crop"], "unedited": rest["images"]}
    paste = inner.add("PasteFace", **puts, **{"ghost_limit": GHOSTS, **how})
    return drawn, rest, paste


def sliders(inner: Subgraph, **values: float) -> tuple[list[Node], Node, tuple[Node, Node]]:
    """Embedded motions on Face Sliders, whose sliders the subgraph shows under their names, and the networks."""
    names = list(LABELS)

    def inlets(some: list[str]) -> list[Inlet]:
        return [inner.inlet(LABELS[name], "FLOAT", values.get(name, 0.0)) for name in some]

    loads = [inner.add("LoadSubspace", title=LABELS[name].capitalize(), file=embedded(name)) for name in names]
    shown = inlets(names[:FIRST])
    networks = models(inner)
    shown += inlets(names[FIRST:])
    puts: dict[str, Any] = {f"motions__motion_{i}": load for i, load in enumerate(loads, 1)}
    puts |= {f"coefficient_{i}": one for i, one in enumerate(shown, 1)}
    return loads, inner.add("FaceSliders", **puts), networks


# Subgraphs


def animate_face(around: Graph, unknown: str = "stop") -> Subgraph:
    inner = Subgraph(
        around,
        "Animate Face",
        "Make the face in a picture move along one motion, such as a smile, and give the frames of a clip that loops.",
        ("face animation", "talking head", "portrait", "smile", "expression", "liveportrait alternative", "stylegan", "micromotion"),
    )
    image, motion = inner.inlet("image", "IMAGE"), inner.inlet("motion", "COMBO", embedded("smile"))
    strength, frames = inner.inlet("strength", "FLOAT", 1.0), inner.inlet("frames", "INT", 48)
    networks = models(inner)
    square, codes = face_of(inner, image, networks)
    codes.values["unknown"] = unknown
    load = inner.add("LoadSubspace", properties=known("motion"), file=motion)
    sweep = inner.add("Sweep", frames=frames)
    moved = inner.add("ApplySubspace", codes=codes, motion=load, sweep=sweep, coefficient=strength)
    drawn, rest, paste = pasted(inner, image, square, networks[0], codes, moved)
    inner.columns([*networks], [square, codes], [load, sweep, moved], [drawn, rest], [paste])
    inner.outlet("images", paste["images"])
    inner.outlet("mask", paste["mask"])
    return inner


def edit_expression(around: Graph, side: int = 0) -> Subgraph:
    """With ``side`` the picture is first brought to that size, so that a slider is answered quickly."""
    inner = Subgraph(
        around,
        "Edit Expression Live" if side else "Edit Expression and Age",
        f"Sliders for the face in a picture: {', '.join(LABELS.values())}. With a sweep, frames of a clip.",
        (
            "face sliders",
            "expression editor",
            "portrait",
            "smile",
            "age",
            "mouth",
            "open mouth",
            "wink",
            "nod",
            "morph",
            "liveportrait alternative",
            "stylegan",
        ),
    )
    image, sweep = inner.inlet("image", "IMAGE"), None if side else inner.inlet("sweep", "MICROMOTION_SWEEP")
    first = [inner.add("ImageScaleToMaxDimension", image=image, upscale_method="lanczos", largest_size=side)] if side else []
    photo = first[0] if side else image
    loads, moved, networks = sliders(inner, smile=0.8)
    square, codes = face_of(inner, photo, networks)
    inner.link(codes, moved, "codes")
    if sweep:
        inner.link(sweep, moved, "sweep")
    drawn, rest, paste = pasted(inner, photo, square, networks[0], codes, moved, **TURNED)
    inner.columns([*networks], [*first, square, codes], loads, [moved], [drawn, rest], [paste])
    inner.outlet("images", paste["images"])
    inner.outlet("mask", paste["mask"])
    return inner


def edit_video(around: Graph) -> Subgraph:
    inner = Subgraph(
        around,
        "Edit Video Face",
        "Sliders for the face in a clip: every frame is edited and pasted back; length, rate and sound stay.",
        ("video expression", "talking head", "smile in a video", "face editing", "portrait"),
    )
    video = inner.inlet("video", "VIDEO")
    parts = inner.add("GetVideoComponents", video=video)
    loads, moved, networks = sliders(inner, smile=0.9)
    square, codes = face_of(inner, parts["images"], networks, missing="keep")
    inner.link(codes, moved, "codes")
    drawn, rest, paste = pasted(inner, parts["images"], square, networks[0], codes, moved)
    inner.columns([*networks, parts], [square, codes], loads, [moved], [drawn, rest], [paste])
    for name, source in (("images", paste["images"]), ("audio", parts["audio"]), ("fps", parts["fps"])):
        inner.outlet(name, source)
    return inner


def drive_face(around: Graph) -> Subgraph:
    inner = Subgraph(
        around,
        "Drive Face by Clip",
        "Read how far along a motion the face of a clip is, frame by frame, and move another face as far, at the clip's own rate.",
        ("motion transfer", "driving video", "reenact", "talking head", "face animation", "liveportrait alternative"),
    )
    video, image = inner.inlet("clip", "VIDEO"), inner.inlet("face", "IMAGE")
    motion, strength = inner.inlet("motion", "COMBO", embedded("turn")), inner.inlet("strength", "FLOAT", 1.0)
    networks = models(inner)
    parts = inner.add("GetVideoComponents", video=video)
    clip_square = found(inner, parts["images"], path="fixed", title="Align the clip")
    clip = inverted(inner, networks, clip_square, title="Invert the clip")
    square, codes = face_of(inner, image, networks)
    load = inner.add("LoadSubspace", file=motion)
    read = inner.add("ReadCoefficients", codes=clip, motion=load, generator=networks[0], inverter=networks[1])
    moved = inner.add("ApplySubspace", codes=codes, motion=load, sweep=read["sweep"], coefficient=strength)
    drawn, rest, paste = pasted(inner, image, square, networks[0], codes, moved, **TURNED)
    inner.columns([*networks, parts], [clip_square, square], [clip, codes], [load, read], [moved], [drawn, rest], [paste])
    for name, source in (("images", paste["images"]), ("audio", parts["audio"]), ("fps", parts["fps"])):
        inner.outlet(name, source)
    return inner


def motion_from_sentence(around: Graph) -> Subgraph:
    inner = Subgraph(
        around,
        "Motion from Sentence",
        "Find a motion that a sentence describes: faces are optimized until they fit it in rising degrees; what they share is kept.",
        ("text to motion", "clip", "styleclip", "new expression", "stylegan"),
    )
    text, seeds = inner.inlet("sentence", "STRING", "a person with {degree} smile"), inner.inlet("faces", "INT", 3)
    generator = inner.add("LoadGenerator", file=inner.inlet("generator", "COMBO", AVATAR))
    scorer = inner.add("LoadScorer", file=inner.inlet("scorer", "COMBO", AVATAR))
    anchors = inner.add("TextAnchors", generator=generator, scorer=scorer, template=text, seeds=seeds)
    fit = inner.add("FitSubspace", anchors__anchors_1=anchors)
    inner.columns([generator, scorer], [anchors], [fit])
    inner.outlet("motion", fit)
    return inner


def motion_from_clip(around: Graph) -> Subgraph:
    inner = Subgraph(
        around,
        "Motion from Clip",
        "Learn the motion of the face in a short clip, without a word or a label.",
        ("video to motion", "learn motion", "head turn", "driving video", "stylegan"),
    )
    video = inner.inlet("clip", "VIDEO")
    networks = models(inner)
    parts = inner.add("GetVideoComponents", video=video)
    square, codes = face_of(inner, parts["images"], networks, path="fixed", missing="skip")
    anchors = inner.add("VideoAnchors", generator=networks[0], codes=codes)
    fit = inner.add("FitSubspace", anchors__anchors_1=anchors)
    inner.columns([*networks, parts], [square, codes], [anchors], [fit])
    inner.outlet("motion", fit)
    return inner


def try_motion(around: Graph) -> Subgraph:
    inner = Subgraph(
        around,
        "Try Motion",
        "Show a motion on a face that nobody has, as a clip that loops.",
        ("preview motion", "random face", "stylegan"),
    )
    motion, seed = inner.inlet("motion", "MICROMOTION_SUBSPACE"), inner.inlet("face", "INT", 2495)
    strength = inner.inlet("strength", "FLOAT", 1.0)
    generator = inner.add("LoadGenerator", file=inner.inlet("generator", "COMBO", AVATAR))
    codes, sweep = inner.add("SampleFaces", generator=generator, seed=seed), inner.add("Sweep")
    moved = inner.add("ApplySubspace", codes=codes, motion=motion, sweep=sweep, coefficient=strength)
    drawn = inner.add("Synthesize", generator=generator, codes=moved)
    large = inner.add("ImageScale", image=drawn["images"], upscale_method="bicubic", width=384, height=384, crop="disabled")
    video = inner.add("CreateVideo", images=large, fps=24.0)
    inner.columns([generator], [codes, sweep], [moved], [drawn, large], [video])
    inner.outlet("video", video)
    return inner


RESTED = {"anger": "anger of avatars", "smile": "smile of avatars", "turn": "yaw of avatars"}  # and what is measured of each


def act_from_rest(around: Graph) -> Subgraph:
    inner = Subgraph(
        around,
        "Neutralize and Act",
        "Measure what the face does, bring its smile, anger and turn to rest, then let it act: the motion starts from the neutral face.",
        ("neutral face", "expression", "portrait", "face animation", "smile"),
    )
    image = inner.inlet("image", "IMAGE")
    act, strength, frames = (
        inner.inlet("act", "COMBO", embedded("smile")),
        inner.inlet("strength", "FLOAT", 1.0),
        inner.inlet("frames", "INT", 48),
    )
    networks = models(inner)
    square, codes = face_of(inner, image, networks)
    rested, resting, loads = codes, [], []
    for name, measured in RESTED.items():
        loads.append(inner.add("LoadSubspace", file=embedded(name)))
        options = {"coefficient": 0.0, "neutralize": measured, "generator": networks[0], "title": f"{LABELS[name]} to rest"}
        rested = inner.add("ApplySubspace", codes=rested, motion=loads[-1], **options)
        resting.append(rested)
    load, sweep = inner.add("LoadSubspace", title="The act", file=act), inner.add("Sweep", frames=frames)
    moved = inner.add("ApplySubspace", codes=rested, motion=load, sweep=sweep, coefficient=strength)
    drawn, still, paste = pasted(inner, image, square, networks[0], codes, moved, **TURNED)
    inner.columns([*networks], [square, codes], loads, resting, [load, sweep, moved], [drawn, still], [paste])
    inner.outlet("images", paste["images"])
    return inner


def one_of_several(around: Graph, name: str) -> Subgraph:
    inner = Subgraph(
        around,
        name,
        "Make one face of a group picture move, and paste it into the frames so far; chain one for each face.",
        ("group photo", "two faces", "several people", "face animation"),
    )
    image, frames = inner.inlet("picture", "IMAGE"), inner.inlet("paste into", "IMAGE")
    x, share = inner.inlet("face at x", "FLOAT", 0.5), inner.inlet("size of face", "FLOAT", 1.0)
    motion, strength = inner.inlet("motion", "COMBO", embedded("smile")), inner.inlet("strength", "FLOAT", 1.0)
    networks = models(inner)
    square = inner.add("AlignFace", image=image, path="by hand", path__x=x, path__share=share)
    codes = inverted(inner, networks, square)
    load, sweep = inner.add("LoadSubspace", file=motion), inner.add("Sweep", frames=48)
    moved = inner.add("ApplySubspace", codes=codes, motion=load, sweep=sweep, coefficient=strength)
    drawn, rest, paste = pasted(inner, frames, square, networks[0], codes, moved)
    inner.columns([*networks], [square, codes], [load, sweep, moved], [drawn, rest], [paste])
    inner.outlet("images", paste["images"])
    return inner


ACT = {
    "smile": "0: 0, 12: 1, 40: 1, 60: 0",
    "eyes": "0: 0, 26: 0, 30: 0.8, 34: 0, 66: 0, 69: 0.8, 72: 0",
    "turn": "0: 0, 34: 0, 48: 0.9, 62: -0.8, 76: 0",
}


def act_by_timeline(around: Graph) -> Subgraph:
    inner = Subgraph(
        around,
        "Act by Timeline",
        "Three motions of one face, each along a timeline of its own.",
        ("timeline", "keyframes", "animation curve", "face animation", "acting"),
    )
    image, frames = inner.inlet("image", "IMAGE"), inner.inlet("frames", "INT", 80)
    loads, times = [], []
    for name, keys in ACT.items():
        loads.append(inner.add("LoadSubspace", file=inner.inlet(f"{LABELS[name]} motion", "COMBO", embedded(name))))
        keyframes = inner.inlet(f"{LABELS[name]} timeline", "STRING", keys)
        title = f"Timeline of {LABELS[name]}"
        times.append(inner.add("Sweep", title=title, frames=frames, shape="keyframes", shape__keyframes=keyframes))
    networks = models(inner)
    square, codes = face_of(inner, image, networks)
    applied, moved = [], codes
    for load, time in zip(loads, times):
        moved = inner.add("ApplySubspace", codes=moved, motion=load, sweep=time)
        applied.append(moved)
    drawn, rest, paste = pasted(inner, image, square, networks[0], codes, moved, **TURNED)
    video = inner.add("CreateVideo", images=paste["images"], fps=24.0)
    inner.columns([*networks], [square, codes], loads, times, applied, [drawn, rest], [paste], [video])
    inner.outlet("video", video)
    return inner


def expression_sheet(around: Graph) -> Subgraph:
    inner = Subgraph(
        around,
        "Expression Sheet",
        "A sheet of one face with eight motions, one row for each: from its opposite over rest to the whole motion.",
        ("character sheet", "contact sheet", "grid", "expressions", "reference sheet"),
    )
    image, columns = inner.inlet("image", "IMAGE"), inner.inlet("columns", "INT", 5)
    networks = models(inner)
    square, codes = face_of(inner, image, networks)
    sweep = inner.add("Sweep", frames=columns, shape__start=-0.25, shape__end=1.0, shape__easing="linear", shape__ping_pong=False)
    rows, loads = [], []
    for name in LABELS:
        loads.append(inner.add("LoadSubspace", title=LABELS[name].capitalize(), file=embedded(name)))
        moved = inner.add("ApplySubspace", codes=codes, motion=loads[-1], sweep=sweep)
        rows.append((moved, inner.add("Synthesize", generator=networks[0], codes=moved)))
    batch = inner.add("BatchImagesNode", **{f"images__image{i}": drawn["images"] for i, (_, drawn) in enumerate(rows)})
    single = inner.add("RebatchImages", images=batch, batch_size=1)
    grid = inner.add("ImageGrid", images=single, columns=columns, cell_width=192, cell_height=192)
    inner.columns(
        [*networks], [square, codes, sweep], loads, [moved for moved, _ in rows], [drawn for _, drawn in rows], [batch, single, grid]
    )
    inner.outlet("sheet", grid)
    return inner


def long_video(around: Graph) -> Subgraph:
    inner = Subgraph(
        around,
        "Long Face Video",
        "Animate a face into a video file of any length, a few frames at a time: memory stays flat.",
        ("long video", "stream video", "low memory", "face animation"),
    )
    image, motion = inner.inlet("image", "IMAGE"), inner.inlet("motion", "COMBO", embedded("smile"))
    frames, cycles, strength = inner.inlet("frames", "INT", 480), inner.inlet("rounds", "INT", 10), inner.inlet("strength", "FLOAT", 1.0)
    networks = models(inner)
    square, codes = face_of(inner, image, networks)
    load, sweep = inner.add("LoadSubspace", file=motion), inner.add("Sweep", frames=frames, shape__cycles=cycles)
    rest = inner.add("Synthesize", title="Synthesize the face at rest", generator=networks[0], codes=codes)
    puts = {"generator": networks[0], "codes": codes, "motion": load, "sweep": sweep, "coefficient": strength}
    video = inner.add("SweepToVideo", **puts, photo=image, crop=square["crop"], unedited=rest["images"])
    inner.columns([*networks], [square, codes], [load, sweep], [rest, video])
    inner.outlet("video", video)
    return inner


# Templates

NOTE_WIDTH, ROW_GAP = 235, 30
MORE = 190  # pixels below a node whose remark makes it grow


def row(top: Graph, name: str, text: str, *columns, form: list, results: list[Node]) -> dict:
    """A template that reads from left to right, its note first."""
    title = name.partition(" ")[2]
    note = top.note(f"## {title}\n\n{text}", width=NOTE_WIDTH, height=300)
    top.columns([note], *columns, gap=ROW_GAP)
    return workflow(top, name, form, results)


def load_image(top: Graph, name: str, width: int = 250) -> Node:
    return top.add("LoadImage", width=width, height=330, image=name)


def film(top: Graph, images, name: str, fps: Any = 24.0, audio=None, height: int = 390, width: int = 310) -> tuple[Node, Node]:
    sound = {} if audio is None else {"audio": audio}
    video = top.add("CreateVideo", width=225, images=images, fps=fps, **sound)
    return video, save_video(top, video, name, height=height, width=width)


def save_video(top: Graph, video, name: str, height: int = 390, width: int = 310, mode: int = 0) -> Node:
    return top.add("SaveVideo", width=width, height=height, mode=mode, video=video, filename_prefix=f"micromotion/{name}")


def start_here(top: Graph, name: str) -> dict:
    image = load_image(top, "micromotion_avatar.png")
    face = top.use(animate_face(top), image=image["IMAGE"])
    video, saved = film(top, face["images"], "smile")
    text = (
        "1. Press **Run**: the face smiles.\n"
        "2. Choose another *motion* and run again.\n"
        "3. *strength* goes further, or below 0 the other way.\n"
        "4. Your own picture: *choose file to upload*; a face is looked for.\n"
        "5. Photos of people: *Animate the face in your photo*."
    )
    return row(
        top, name, text, [image], [face], [video], [saved], form=[(image, "image"), (face, "motion"), (face, "strength")], results=[saved]
    )


def own_photo(top: Graph, name: str) -> dict:
    image = load_image(top, "micromotion_photo.png")
    files: dict[str, Any] = {kind: catalog.find(entry).file for kind, entry in PHOTO_FILES.items()}
    face = top.use(animate_face(top), properties=known(*files), image=image["IMAGE"], **files)
    video, saved = film(top, face["images"], "photo")
    text = (
        "1. Once: open *Fetch the models for photos*, run it, then press **R** here.\n"
        "2. Upload a photo and **Run**: the face is found, and only the face changes.\n"
        "3. *smile.pt* and its siblings were made for this *generator*.\n"
        "4. Avatars go in whole: choose *avatar* and an embedded *motion*.\n"
        "5. Ask people before you animate them."
    )
    return row(
        top, name, text, [image], [face], [video], [saved], form=[(image, "image"), (face, "motion"), (face, "strength")], results=[saved]
    )


def live(top: Graph, name: str) -> dict:
    image = load_image(top, "micromotion_face_11.jpg")
    face = top.use(edit_expression(top, side=LIVE_SIDE), image=image["IMAGE"])
    shown = top.add("PreviewImage", width=440, height=500, images=face["images"])
    text = (
        "1. Open the menu beside **Run**, choose **Run (On Change)**.\n"
        "2. Drag a slider: the picture follows the mouse.\n"
        "3. 0 is the face as it is; below 0 goes the other way.\n"
        "4. Several sliders add up.\n"
        "5. The picture is made at most 448 px large, to keep up with the mouse."
    )
    form = [(image, "image"), *((face, label) for label in LABELS.values())]
    return row(top, name, text, [image], [face], [shown], form=form, results=[shown])


def mixed(top: Graph, name: str) -> dict:
    image, sweep = load_image(top, "micromotion_face_3.jpg"), top.add("Sweep", width=270)
    values: dict[str, Any] = {"smile": 0.9, "close eyes": 0.35, "head turn": 0.6}
    face = top.use(edit_expression(top), image=image["IMAGE"], sweep=sweep, **values)
    video, saved = film(top, face["images"], "mixed")
    text = (
        "1. Press **Run**: a smile, the eyes and a turn at once.\n"
        "2. Each slider is a motion: try *open mouth*, *nod* and *wink*.\n"
        "3. *Make Sweep* says how long and how gently.\n"
        "4. *shape* keyframes writes the timing by hand.\n"
        "5. Each motion a timing of its own: see the timeline template."
    )
    form = [(image, "image"), *((face, label) for label in LABELS.values())]
    return row(top, name, text, [image, sweep], [face], [video], [saved], form=form, results=[saved])


def sentence(top: Graph, name: str) -> dict:
    made = top.use(motion_from_sentence(top), sentence="a person with {degree} smile")
    kept = top.add("SaveSubspace", width=270, motion=made["motion"], name="my_motion")
    shown = top.use(try_motion(top), motion=made["motion"], width=270)
    saved = save_video(top, shown["video"], "from_sentence")
    text = (
        "1. Write what changes; `{degree}` becomes no, 10% ... 100%.\n"
        "2. Press **Run**; cancel goes on next time where it stopped.\n"
        "3. More *faces* make a cleaner motion and take longer.\n"
        "4. The motion is saved in `models/micromotion`.\n"
        "5. Then it stands in every *motion* list (press **R**)."
    )
    return row(top, name, text, [made], [shown, kept], [saved], form=[(made, "sentence"), (made, "faces")], results=[saved])


def from_clip(top: Graph, name: str) -> dict:
    clip = top.add("LoadVideo", width=270, height=330, file="micromotion_clip.mp4")
    made = top.use(motion_from_clip(top), clip=clip, width=270)
    kept = top.add("SaveSubspace", width=270, motion=made["motion"], name="my_motion")
    shown = top.use(try_motion(top), motion=made["motion"], width=270, face=1019)
    saved = save_video(top, shown["video"], "from_clip")
    text = (
        "1. Load one to three seconds of one motion, from rest to its end.\n"
        "2. Press **Run**: the motion is learned without a word.\n"
        "3. It is tried on a face that nobody has.\n"
        "4. And saved in `models/micromotion`.\n"
        "5. Then it stands in every *motion* list (press **R**)."
    )
    return row(top, name, text, [clip], [made, MORE, kept], [shown], [saved], form=[(clip, "file")], results=[saved])


def driven(top: Graph, name: str) -> dict:
    clip = top.add("LoadVideo", width=235, height=360, file="micromotion_clip.mp4")
    image = load_image(top, "micromotion_face_4.jpg", width=235)
    face = top.use(drive_face(top), width=290, clip=clip, face=image["IMAGE"])
    video, saved = film(top, face["images"], "driven", fps=face["fps"], audio=face["audio"], width=300)
    text = (
        "1. Above the clip that leads, below the face that follows.\n"
        "2. Press **Run**: length, rate and sound are the clip's.\n"
        "3. *motion* says what is carried over, *strength* how much.\n"
        "4. For several motions chain *Read Coefficients* inside.\n"
        "5. Photos of people want an FFHQ generator and inverter."
    )
    form = [(clip, "file"), (image, "image"), (face, "motion"), (face, "strength")]
    return row(top, name, text, [clip, image], 40, [face], [video], [saved], form=form, results=[saved])


def edited_video(top: Graph, name: str) -> dict:
    clip = top.add("LoadVideo", width=270, height=330, file="micromotion_clip.mp4")
    face = top.use(edit_video(top), video=clip)
    video, saved = film(top, face["images"], "edited", fps=face["fps"], audio=face["audio"])
    text = (
        "1. Press **Run**: the person in the clip smiles.\n"
        "2. The sliders hold for every frame.\n"
        "3. The face goes back into the video, its sound stays.\n"
        "4. A slider at 0 leaves the clip as it is.\n"
        "5. A face that walks about is followed; frames without one stay as they are."
    )
    form = [(clip, "file"), *((face, label) for label in LABELS.values())]
    return row(top, name, text, [clip], [face], [video], [saved], form=form, results=[saved])


def neutral(top: Graph, name: str) -> dict:
    image = load_image(top, "micromotion_face_5.jpg")
    face = top.use(act_from_rest(top), image=image["IMAGE"])
    video, saved = film(top, face["images"], "act", height=440)
    text = (
        "1. Anger, smile and turn are measured and brought to rest.\n"
        "2. Then *act* plays, from the rested face and back.\n"
        "3. Set *strength* to 0 to see the rested face alone.\n"
        "4. Photos: in the subgraph choose *corner lift*, *yaw*, ...\n"
        "5. Press **Run**."
    )
    return row(
        top, name, text, [image], [face], [video], [saved], form=[(image, "image"), (face, "act"), (face, "strength")], results=[saved]
    )


def two_faces(top: Graph, name: str) -> dict:
    image = load_image(top, "micromotion_group.png")
    first = top.use(
        one_of_several(top, "The left face smiles"),
        width=270,
        picture=image["IMAGE"],
        **{"paste into": image["IMAGE"], "face at x": 0.19, "motion": embedded("smile")},
    )
    again = {"paste into": first["images"], "face at x": 0.81, "motion": embedded("eyes")}
    second = top.use(one_of_several(top, "The right face closes its eyes"), width=270, picture=image["IMAGE"], **again)
    video, saved = film(top, second["images"], "two_faces", width=330)
    text = (
        "1. Each node moves one face of the picture.\n"
        "2. *face at x*: 0 is the left edge, 1 the right.\n"
        "3. The second pastes into the frames of the first.\n"
        "4. Photos: *Pick Face* and *Align Face* find faces.\n"
        "5. Press **Run**."
    )
    form = [(image, "image"), (first, "motion"), (second, "motion")]
    return row(top, name, text, [image], [first, second], [video], [saved], form=form, results=[saved])


def curve(*points: tuple[float, float]) -> dict:
    return {"points": [list(point) for point in points], "interpolation": "monotone_cubic"}


def timeline(top: Graph, name: str) -> dict:
    image = load_image(top, "micromotion_face_6.jpg")
    face = top.use(act_by_timeline(top), width=420, image=image["IMAGE"])
    saved = save_video(top, face["video"], "timeline", width=380)
    text = (
        "1. Each timeline is one motion: frame, colon, how far.\n"
        "2. Frames between two are eased.\n"
        "3. Inside, *shape* curve lets you draw one (Nodes 2.0).\n"
        "4. The three play at once on one face.\n"
        "5. Press **Run**."
    )
    form = [(image, "image"), *((face, f"{LABELS[motion]} timeline") for motion in ACT)]
    return row(top, name, text, [image], [face], [saved], form=form, results=[saved])


def sheet(top: Graph, name: str) -> dict:
    image = load_image(top, "micromotion_face_7.jpg")
    made = top.use(expression_sheet(top), image=image["IMAGE"])
    saved = top.add("SaveImage", width=520, height=600, images=made["sheet"], filename_prefix="micromotion/sheet")
    text = (
        "1. Press **Run**: a row for each motion.\n"
        "2. Left its opposite, then rest, right the whole motion.\n"
        "3. *columns* makes finer steps.\n"
        "4. Open the subgraph for other motions or cells.\n"
        "5. Good as a reference for image models."
    )
    return row(top, name, text, [image], [made], [saved], form=[(image, "image"), (made, "columns")], results=[saved])


def long(top: Graph, name: str) -> dict:
    image = load_image(top, "micromotion_face_8.jpg")
    made = top.use(long_video(top), image=image["IMAGE"], motion=embedded("mouth_open"))
    saved = top.add("SaveVideo", width=400, height=460, video=made["video"], filename_prefix="micromotion/long")
    text = (
        "1. Press **Run**: 20 seconds, ten rounds.\n"
        "2. Frames go into the file as they are drawn.\n"
        "3. So memory does not grow with the length.\n"
        "4. *frames* / 24 are seconds.\n"
        "5. More *rounds* move faster."
    )
    form = [(image, "image"), (made, "motion"), (made, "frames")]
    return row(top, name, text, [image], [made], [saved], form=form, results=[saved])


HEAD = 100  # pixels of free room: a lane for wires, or for the title of a group


def how_it_works(top: Graph, name: str) -> dict:
    note = top.note(
        "## How a StyleGAN2 motion works\n\n"
        "1. *Align Face*: the face becomes a square, and where it was is kept.\n"
        "2. *Invert Face*: the code that makes the generator draw it.\n"
        "3. *Apply Micromotion*: one code per frame along the motion.\n"
        "4. *Synthesize Faces*: codes become pictures.\n"
        "5. *Paste Face*: what the motion changes goes back into the photo.",
        width=250,
        height=330,
    )
    image = load_image(top, "micromotion_face_12.jpg")
    generator, inverter = top.add("LoadGenerator", width=260, file=AVATAR), top.add("LoadInverter", width=260, file=AVATAR)
    square = found(top, image["IMAGE"], width=260)
    codes = top.add("InvertFace", width=260, generator=generator, inverter=inverter, image=square["square"])
    load, sweep = top.add("LoadSubspace", width=260, file=embedded("eyes")), top.add("Sweep", width=260, frames=48)
    moved = top.add("ApplySubspace", width=260, codes=codes, motion=load, sweep=sweep)
    drawn = top.add("Synthesize", width=260, title="Synthesize the moving face", generator=generator, codes=moved)
    rest = top.add("Synthesize", width=260, title="Synthesize the face at rest", generator=generator, codes=codes)
    paste = top.add("PasteFace", width=260, photo=image["IMAGE"], faces=drawn["images"], crop=square["crop"], unedited=rest["images"])
    video, saved = film(top, paste["images"], "how_it_works", width=310)
    # The photo's and the crop's wires run above what stands between, the generator's below: the columns leave both lanes free.
    top.columns(
        [image, HEAD, note],
        [HEAD, square, 380, inverter, 40, generator],
        [2 * HEAD, load, sweep, HEAD, codes],
        [2 * HEAD, moved],
        [square.height + 8 * HEAD, drawn, MORE + 40, rest],
        [paste],
        [video, saved],
        gap=80,
    )
    groups = [
        group("Photo to square", [image, square], BLUE, 1),
        group("Square to code", [inverter, generator, codes], PURPLE, 2),
        group("Code along the motion", [load, sweep, moved], GREEN, 3),
        group("Codes to pictures, pictures into the photo", [drawn, rest, paste], BROWN, 4),
    ]
    return workflow(top, name, [(image, "image"), (load, "file"), (moved, "coefficient")], [saved], groups)


def convert(top: Graph, name: str) -> dict:
    written = top.add("ConvertCheckpoint", width=285, file=AVATAR, name="converted")
    generator = top.add("LoadGenerator", width=285, file=AVATAR)
    codes = top.add("SampleFaces", width=270, generator=generator, seed=91, count=4)
    drawn = top.add("Synthesize", width=250, generator=generator, codes=codes)
    shown = top.add("PreviewImage", width=310, height=420, images=drawn["images"])
    text = (
        "1. Choose a `.pkl`, `.pt` or `.pth` of `models/stylegan2`.\n"
        "2. Press **Run**: it is written as `.safetensors`.\n"
        "3. Nothing in the file is executed.\n"
        "4. The row on the right draws four of its faces.\n"
        "5. The license of the weights stays what it was."
    )
    form = [(written, "file"), (written, "precision"), (written, "name")]
    return row(top, name, text, [written, MORE, generator], [270 + MORE, codes], [drawn], [shown], form=form, results=[shown])


def fetch(top: Graph, name: str) -> dict:
    fetched = top.add("FetchModel", width=460)
    text = (
        "1. **Run** it as it is: it says what would be fetched, from where, and under which license.\n"
        "2. If you accept that, turn on the switch and run again: about 2 GB.\n"
        "3. You may cancel; the next run goes on.\n"
        "4. Most face models are for research and evaluation only.\n"
        "5. Then open *Animate the face in your photo*."
    )
    return row(top, name, text, [fetched], form=[(fetched, "what"), (fetched, "accept")], results=[fetched])


def pose_face(around: Graph) -> Subgraph:
    inner = Subgraph(
        around,
        "Pose Face",
        "Draw a face at several strengths of one motion, 0 among them: what a pair of pictures is made of.",
        ("expression strengths", "dataset", "training pairs", "before and after", "stylegan"),
    )
    codes, generator = inner.inlet("codes", "STYLEGAN2_CODES"), inner.inlet("generator", "STYLEGAN2_GENERATOR")
    motion = inner.inlet("motion", "COMBO", embedded("smile"))
    strengths, count = inner.inlet("strengths", "STRING", "0: 0, 1: 0.25, 2: 0.5, 3: 0.75, 4: 1"), inner.inlet("frames", "INT", 5)
    load = inner.add("LoadSubspace", file=motion)
    steps = {"shape": "keyframes", "shape.keyframes": strengths, "shape.easing": "linear", "shape.loop": False}
    sweep = inner.add("Sweep", frames=count, **steps)
    moved = inner.add("ApplySubspace", codes=codes, motion=load, sweep=sweep)
    drawn = inner.add("Synthesize", generator=generator, codes=moved)
    inner.columns([load, sweep], [moved], [drawn])
    for name, source in (("images", drawn["images"]), ("sweep", sweep), ("motion", load)):
        inner.outlet(name, source)
    return inner


def pairs(top: Graph, name: str) -> dict:
    generator = top.add("LoadGenerator", file=AVATAR)
    codes = top.add("SampleFaces", generator=generator, seed=663, control_after_generate="increment")
    posed = top.use(pose_face(top), width=320, codes=codes, generator=generator)
    saved = top.add("SavePairs", width=360, images=posed["images"], sweep=posed["sweep"], motion=posed["motion"])
    shown = top.add("PreviewImage", width=360, height=300, images=posed["images"])
    text = (
        "1. **Run** writes one face and its smiles into `output/training_pairs`.\n"
        "2. Run it 100 times (the number beside *Run*): the seed rises, the set grows by 100 faces.\n"
        "3. *strengths* are frame: coefficient; 0 must be among them.\n"
        "4. *layout* is what your trainer reads.\n"
        "5. For thousands, measured and sorted: `micromotion dataset`."
    )
    form = [(codes, "seed"), (posed, "motion"), (posed, "strengths"), (saved, "layout"), (saved, "name")]
    return row(top, name, text, [generator, codes], [posed], [shown, saved], form=form, results=[shown])


# With diffusion models


def checkpoint(inner: Graph, **more) -> Node:
    return inner.add("CheckpointLoaderSimple", ckpt_name=CHECKPOINT["name"], properties={"models": [CHECKPOINT]}, **more)


def refine_frames(around: Graph) -> Subgraph:
    inner = Subgraph(
        around,
        "Refine Frames",
        "Give the frames to a Stable Diffusion model inside the face's mask, at a low denoise: skin gains detail, the motion stays.",
        ("img2img frames", "detailer", "low denoise", "sharpen face"),
    )
    images, mask = inner.inlet("images", "IMAGE"), inner.inlet("mask", "MASK")
    text, denoise, seed = (
        inner.inlet("prompt", "STRING", "portrait, detailed skin"),
        inner.inlet("denoise", "FLOAT", 0.3),
        inner.inlet("seed", "INT", 1),
    )
    model = checkpoint(inner)
    positive = inner.add("CLIPTextEncode", title="Prompt", height=120, clip=model["CLIP"], text=text)
    negative = inner.add("CLIPTextEncode", title="Negative prompt", height=120, clip=model["CLIP"], text="blurry, deformed")
    encoded = inner.add("VAEEncode", pixels=images, vae=model["VAE"])
    masked = inner.add("SetLatentNoiseMask", samples=encoded, mask=mask)
    sampled = inner.add(
        "KSampler", model=model["MODEL"], positive=positive, negative=negative, latent_image=masked, seed=seed, steps=20, cfg=6.0,
        sampler_name="euler", scheduler="normal", denoise=denoise,
    )  # fmt: skip
    decoded = inner.add("VAEDecode", samples=sampled, vae=model["VAE"])
    video = inner.add("CreateVideo", images=decoded, fps=24.0)
    inner.columns([model], [positive, negative, encoded, masked], [sampled], [decoded], [video])
    inner.outlet("video", video)
    return inner


def draw_portrait(around: Graph) -> Subgraph:
    inner = Subgraph(
        around, "Draw Portrait", "Draw a square portrait with Stable Diffusion 1.5.", ("text to image", "portrait", "stable diffusion")
    )
    text = inner.inlet("prompt", "STRING", "portrait of a woman, front view, neutral face, plain background, 3d render")
    seed = inner.inlet("seed", "INT", 5)
    model = checkpoint(inner)
    positive = inner.add("CLIPTextEncode", title="Prompt", height=120, clip=model["CLIP"], text=text)
    negative = inner.add("CLIPTextEncode", title="Negative prompt", height=120, clip=model["CLIP"], text="profile, hands, text, blurry")
    empty = inner.add("EmptyLatentImage")
    sampled = inner.add(
        "KSampler", model=model["MODEL"], positive=positive, negative=negative, latent_image=empty, seed=seed, steps=25, cfg=7.0,
        sampler_name="euler", scheduler="normal",
    )  # fmt: skip
    decoded = inner.add("VAEDecode", samples=sampled, vae=model["VAE"])
    inner.columns([model], [positive, negative, empty], [sampled], [decoded])
    inner.outlet("image", decoded)
    return inner


def refined(top: Graph, name: str) -> dict:
    image = load_image(top, "micromotion_face_9.jpg")
    face = top.use(animate_face(top), width=270, image=image["IMAGE"], frames=24)
    better = top.use(refine_frames(top), width=270, images=face["images"], mask=face["mask"])
    saved = save_video(top, better["video"], "refined")
    text = (
        "1. Needs a Stable Diffusion 1.5 checkpoint.\n"
        "2. The frames of the motion go through it at a low *denoise*.\n"
        "3. Only inside the mask of the face.\n"
        "4. The same *seed* for all frames keeps it steady.\n"
        "5. An edit model fits into the same place."
    )
    form = [(image, "image"), (face, "motion"), (better, "denoise")]
    return row(top, name, text, [image], [face], [better], [saved], form=form, results=[saved])


def portrait(top: Graph, name: str) -> dict:
    drawn = top.use(draw_portrait(top), width=270)
    face = top.use(animate_face(top, unknown="anyway"), width=290, image=drawn["image"])
    video, saved = film(top, face["images"], "portrait", width=330)
    text = (
        "1. Needs a Stable Diffusion 1.5 checkpoint.\n"
        "2. Write the portrait: front view, plain background.\n"
        "3. *Animate Face* makes it move.\n"
        "4. For photos and paintings load an FFHQ generator.\n"
        "5. Press **Run**."
    )
    form = [(drawn, "prompt"), (drawn, "seed"), (face, "motion"), (face, "strength")]
    return row(top, name, text, [drawn], [face], [video], [saved], form=form, results=[saved])


def wan_film(around: Graph) -> Subgraph:
    inner = Subgraph(
        around,
        "First to Last Frame (Wan 2.2)",
        "Let Wan 2.2 fill in the frames between two pictures of one face.",
        ("image to video", "flf2v", "first last frame", "wan"),
    )
    first, last = inner.inlet("first frame", "IMAGE"), inner.inlet("last frame", "IMAGE")
    text = inner.inlet("prompt", "STRING", "a person begins to smile, still camera")
    length = inner.inlet("frames", "INT", 49)
    names = ("wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors", "wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors")
    high, low = (
        inner.add("UNETLoader", unet_name=one, properties=at(one, f"{WAN}/diffusion_models/{one}", "diffusion_models")) for one in names
    )
    encoder = "umt5_xxl_fp8_e4m3fn_scaled.safetensors"
    where = "https://huggingface.co/Comfy-Org/Wan_2.1_ComfyUI_repackaged/resolve/main/split_files/text_encoders"
    clip = inner.add("CLIPLoader", clip_name=encoder, type="wan", properties=at(encoder, f"{where}/{encoder}", "text_encoders"))
    vae = inner.add(
        "VAELoader",
        vae_name="wan_2.1_vae.safetensors",
        properties=at("wan_2.1_vae.safetensors", f"{WAN}/vae/wan_2.1_vae.safetensors", "vae"),
    )
    shifted = [inner.add("ModelSamplingSD3", model=one, shift=8.0) for one in (high, low)]
    positive = inner.add("CLIPTextEncode", title="Prompt", height=120, clip=clip, text=text)
    negative = inner.add("CLIPTextEncode", title="Negative prompt", height=120, clip=clip, text="blurry, static, deformed")
    frames = inner.add(
        "WanFirstLastFrameToVideo", positive=positive, negative=negative, vae=vae, start_image=first, end_image=last, length=length
    )
    steps = {"noise_seed": 1, "steps": 20, "cfg": 4.0, "sampler_name": "euler", "scheduler": "simple"}
    puts = {"positive": frames["positive"], "negative": frames["negative"]}
    rough = inner.add(
        "KSamplerAdvanced", title="High noise", model=shifted[0], latent_image=frames["latent"], add_noise="enable", start_at_step=0,
        end_at_step=10, return_with_leftover_noise="enable", **puts, **steps,
    )  # fmt: skip
    fine = inner.add(
        "KSamplerAdvanced", title="Low noise", model=shifted[1], latent_image=rough, add_noise="disable", start_at_step=10,
        end_at_step=10000, return_with_leftover_noise="disable", **puts, **steps,
    )  # fmt: skip
    decoded = inner.add("VAEDecode", samples=fine, vae=vae)
    video = inner.add("CreateVideo", images=decoded, fps=16.0)
    inner.columns([high, low, clip, vae], [*shifted, positive, negative], [frames], [rough], [fine], [decoded], [video])
    inner.outlet("video", video)
    return inner


def at(name: str, url: str, directory: str) -> dict:
    return {"models": [{"name": name, "url": url, "directory": directory}]}


def first_last(top: Graph, name: str) -> dict:
    image = load_image(top, "micromotion_face_10.jpg", width=210)
    face = top.use(animate_face(top), width=225, image=image["IMAGE"], frames=3)
    first = top.add("ImageFromBatch", width=215, title="First frame", image=face["images"], batch_index=0, length=1)
    last = top.add("ImageFromBatch", width=215, title="Last frame", image=face["images"], batch_index=1, length=1)
    saved = top.add("SaveImage", width=215, height=300, title="Save the last frame", images=last, filename_prefix="micromotion/last_frame")
    wan = top.use(wan_film(top), width=225, **{"first frame": first, "last frame": last})
    wan.mode = MUTED
    film_ = save_video(top, wan["video"], "wan", width=210, mode=MUTED)
    text = (
        "1. **Run** saves the last frame: the face with its smile.\n"
        "2. Photo and last frame go to any first-last-frame model.\n"
        "3. Wan 2.2 stands ready, switched off: select the two gray nodes and press **Ctrl+M**.\n"
        "4. Newer: connect both frames to core's *First-Last-Frame to Video (LTX-2.3)*, LTX-2.5 or *MiniMax H3*.\n"
        "5. *strength* says how far the smile goes."
    )
    form = [(image, "image"), (face, "motion"), (face, "strength")]
    return row(top, name, text, [image], [face], [first, last, saved], [wan], [film_], form=form, results=[saved])


TEMPLATES = {
    "01 Animate a face, start here": start_here,
    "02 Animate the face in your photo": own_photo,
    "03 Expression sliders, live": live,
    "04 Smile, turn and blink at once": mixed,
    "05 Make a micromotion from text": sentence,
    "06 Make a micromotion from a clip": from_clip,
    "07 Drive a portrait by a clip": driven,
    "08 Edit an expression in a video": edited_video,
    "09 Neutralize a face, then act": neutral,
    "10 Two faces, two motions": two_faces,
    "11 Act by a timeline of keyframes": timeline,
    "12 Character sheet of expressions": sheet,
    "13 Long video in little memory": long,
    "14 First-last frame smile, Wan 2.2": first_last,
    "15 Refine frames, Stable Diffusion": refined,
    "16 Animate a Stable Diffusion face": portrait,
    "17 How a StyleGAN2 motion works": how_it_works,
    "18 Convert a StyleGAN2 checkpoint": convert,
    "19 Fetch the models for photos": fetch,
    "20 Make training pairs": pairs,
}
BLUEPRINTS = (animate_face, edit_expression, drive_face, edit_video)
