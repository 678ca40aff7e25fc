"""Draw faces whose truth is known: every picture comes with the numbers that made it.

A head is an ellipsoid with a jaw. Each pixel's point on it is turned back by the yaw, and the face is painted there
as a texture in head coordinates, so that features foreshorten as they should. Hair is a second, larger shell with an
opening for the face. Everything is antialiased by coverage, and continuous in every parameter.

Parameters are ``[N, P]`` in 0..1, named by ``PARAMETERS``: the five ``FACTORS`` that the motions change, then identity.
Further ``MOVES [N, M]``, each with its value at rest, are drawn only where they are given: at rest they change no bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch

FACTORS = ("smile", "eyes", "anger", "yaw", "age")
IDENTITY = (
    "skin", "blush", "hair_light", "hair_red", "hair_length", "hair_volume", "hairline", "parting", "head_width", "jaw",
    "eye_size", "eye_spacing", "eye_color", "brow_thickness", "brow_height", "nose", "mouth_width", "lips", "beard",
    "glasses", "background_a", "background_b", "clothes_a", "clothes_b", "light",
)  # fmt: skip
PARAMETERS = FACTORS + IDENTITY
MOVES = {"mouth_open": 0.0, "brows": 0.5, "gaze": 0.5, "nod": 0.5, "tilt": 0.5, "wink_left": 0.0, "wink_right": 0.0}  # name: at rest
STYLES = ("photo", "stone", "sketch", "cartoon", "bronze")
MAX_YAW, MAX_NOD, MAX_TILT = math.radians(35), math.radians(14), math.radians(13)
PIVOT_Y = 0.60  # the head tilts around this point of the neck

ZOOM = 0.83
HEAD_Y, HEAD_RY = 0.03, 0.66
EYE_Y, NOSE_Y, MOUTH_Y = 0.03, 0.235, 0.435


@dataclass(frozen=True)
class Rendering:
    """``images [N, 3, S, S]`` in -1..1 and soft ``masks`` ``[N, S, S]`` in 0..1: face, eyes, brows, mouth, hair."""

    images: torch.Tensor
    masks: dict[str, torch.Tensor]


def rest_moves(count: int) -> torch.Tensor:
    """``[count, M]`` moves at rest."""
    return torch.tensor(list(MOVES.values())).repeat(count, 1)


def render(parameters: torch.Tensor, size: int = 64, styles: torch.Tensor | str = "photo", moves: torch.Tensor | None = None) -> Rendering:
    """Draw faces from ``parameters [N, P]`` (0..1, columns named by ``PARAMETERS``) at ``size`` pixels.

    ``styles`` is one name of ``STYLES`` or indices ``[N]`` into it; ``moves [N, M]`` (0..1, columns named by ``MOVES``, None: at rest)
    open the mouth, raise the brows, turn the gaze, nod (1: down), tilt (1: clockwise) and close the eye on the left or right of the
    picture. Values outside 0..1 extrapolate the motions.
    """
    if parameters.ndim != 2 or parameters.shape[1] != len(PARAMETERS):
        raise ValueError(f"Parameters have shape {tuple(parameters.shape)}; render takes [N, {len(PARAMETERS)}].")
    if isinstance(styles, str):
        styles = torch.full((len(parameters),), STYLES.index(styles))
    moves = rest_moves(len(parameters)) if moves is None else moves
    if moves.shape != (len(parameters), len(MOVES)):
        raise ValueError(f"Moves have shape {tuple(moves.shape)}; render takes [{len(parameters)}, {len(MOVES)}] for these parameters.")
    canvas = _Canvas(parameters.float(), size, styles, moves.float())
    for paint in (_background, _back_hair, _body, _head, _blush, _beard, _wrinkles, _eyes, _brows, _mouth, _nose, _glasses, _hair):
        paint(canvas)
    return Rendering(_finish(canvas), canvas.masks)


class _Canvas:
    """The picture under the brush, with the geometry that all layers share."""

    def __init__(self, parameters: torch.Tensor, size: int, styles: torch.Tensor, moves: torch.Tensor):
        self.p = {name: parameters[:, i, None, None] for i, name in enumerate(PARAMETERS)}
        self.m = {name: moves[:, i, None, None] for i, name in enumerate(MOVES)}
        self.styles = styles
        self.px = 2 * ZOOM / size
        axis = (torch.arange(size, dtype=torch.float32) + 0.5) * self.px - ZOOM
        self.screen_y, self.screen_x = axis[None, :, None] + 0.02, axis[None, None, :]
        self.x, self.y = self._tilted()
        self.img = torch.zeros(len(parameters), 3, size, size)
        self.masks: dict[str, torch.Tensor] = {}
        self.yaw = (self.p["yaw"] * 2 - 1) * MAX_YAW
        self.sin, self.cos = self.yaw.sin(), self.yaw.cos()
        self.nod = (self.m["nod"] * 2 - 1) * MAX_NOD
        self.colors = _palette(self)
        self._head_geometry()

    @cached_property
    def shade(self) -> torch.Tensor:
        """The light on the front of the head."""
        return self.light(self.normal)[:, None]

    def is_style(self, name: str) -> torch.Tensor:
        return (self.styles == STYLES.index(name)).float()[:, None, None]

    def _tilted(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The head's own upright axes: x, y of every pixel, turned around the neck. They stay small where no head is tilted."""
        angle = (self.m["tilt"] * 2 - 1) * MAX_TILT
        if not angle.any():
            return self.screen_x, self.screen_y
        dx, dy = self.screen_x, self.screen_y - PIVOT_Y
        return dx * angle.cos() + dy * angle.sin(), self.screen_y + (dy * (angle.cos() - 1) - dx * angle.sin())

    def nodded(self, t: torch.Tensor, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Height and depth on a unit sphere, turned back by the nod."""
        return t * self.nod.cos() - z * self.nod.sin(), t * self.nod.sin() + z * self.nod.cos()

    def dropped(self, y: float, depth: float) -> torch.Tensor:
        """How far the nod lowers a point of the head at height ``y``, ``depth`` in front of its middle."""
        return HEAD_RY * depth * self.nod.sin() + (y - HEAD_Y) * (self.nod.cos() - 1)

    def _head_geometry(self) -> None:
        t = (self.y - HEAD_Y) / HEAD_RY
        t = t / (1 + 0.06 * self.m["mouth_open"].clamp(0, 1.2) * _smoothstep(0.0, 0.6, t))
        self.half_width = 0.475 + 0.075 * self.p["head_width"]
        taper = 1 - (0.24 - 0.16 * self.p["jaw"]) * _smoothstep(-0.1, 1.0, t)
        u = self.x / (self.half_width * taper)
        self.head_sdf = ((u.square() + t.square()).sqrt() - 1) * self.half_width
        z = (1 - u.square() - t.square()).clamp(min=0).sqrt()
        self.normal = (u, t.expand_as(u), z)
        height, depth = self.nodded(t, z)
        self.front = u * self.sin + depth * self.cos
        self.X = (u * self.cos - depth * self.sin) * self.half_width
        self.Y = self.y + (height - t) * HEAD_RY
        self.side = self.X.abs()
        self.visible = _smoothstep(0.0, 0.12, self.front)

    def light(self, normal: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Lambert shading, about 0.6..1.1; two flat tones in cartoons."""
        lx = (self.p["light"] - 0.5) * 1.3
        lambert = (normal[0] * lx - 0.4 * normal[1] + 0.82 * normal[2]).clamp(min=0) / (0.83 + lx.square()).sqrt()
        flat = 0.8 + 0.25 * _smoothstep(0.42, 0.5, lambert)
        metal = 0.45 + 0.55 * lambert + 0.9 * lambert.pow(9)
        soft = 0.56 + 0.54 * lambert
        shade = torch.lerp(soft, flat, self.is_style("cartoon"))
        return torch.lerp(shade, metal, self.is_style("bronze"))

    def cover(self, sdf: torch.Tensor) -> torch.Tensor:
        """Antialiased inside of a signed distance (negative inside)."""
        return (0.5 - sdf / self.px).clamp(0, 1)

    def line(self, distance: torch.Tensor, width: torch.Tensor | float) -> torch.Tensor:
        """Antialiased stroke of this half width around distance 0."""
        return self.cover(distance.abs() - width)

    def paint(self, color: torch.Tensor, alpha: torch.Tensor) -> None:
        """Blend ``color`` (``[N, 3, 1, 1]`` or a picture) over the canvas by ``alpha [N, S, S]``."""
        self.img = torch.lerp(self.img, color, alpha[:, None])

    def outline(self, sdf: torch.Tensor) -> None:
        """The dark contour that only cartoons have."""
        self.paint(self.colors["ink"], self.line(sdf, 0.011) * self.is_style("cartoon"))


def _smoothstep(low: float, high: float, x: torch.Tensor) -> torch.Tensor:
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def _ramp(stops: list[tuple[float, float, float]], t: torch.Tensor) -> torch.Tensor:
    """Color ``[N, 3, 1, 1]`` at position ``t [N, 1, 1]`` (0..1) of an even color ramp."""
    table = torch.tensor(stops)
    position = t.flatten().clamp(0, 1) * (len(stops) - 1)
    low = position.floor().long().clamp(max=len(stops) - 2)
    return torch.lerp(table[low], table[low + 1], (position - low)[:, None])[:, :, None, None]


def _plane(a: torch.Tensor, b: torch.Tensor, level: float, chroma: float) -> torch.Tensor:
    """Color ``[N, 3, 1, 1]`` on a plane of opponent colors: ``a`` green to red, ``b`` blue to yellow."""
    a, b = (a - 0.5) * chroma, (b - 0.5) * chroma
    return torch.cat([level + a + 0.35 * b, level - 0.6 * a + 0.3 * b, level + 0.15 * a - b], 1)[:, :, None].clamp(0, 1)


def _palette(c: _Canvas) -> dict[str, torch.Tensor]:
    p = c.p
    age = p["age"].clamp(0, 1)[:, None]
    skin = _ramp([(0.98, 0.82, 0.72), (0.93, 0.72, 0.56), (0.78, 0.54, 0.37), (0.55, 0.35, 0.23), (0.38, 0.24, 0.17)], p["skin"])
    skin = torch.lerp(skin, skin.mean(1, keepdim=True) * torch.tensor([1.1, 1.0, 0.93])[:, None, None], 0.3 * age)
    dark = _ramp([(0.10, 0.08, 0.09), (0.36, 0.21, 0.12), (0.90, 0.70, 0.36)], p["hair_light"])
    red = _ramp([(0.13, 0.08, 0.08), (0.50, 0.20, 0.09), (0.95, 0.55, 0.28)], p["hair_light"])
    hair = torch.lerp(dark, red, p["hair_red"][:, None])
    hair = torch.lerp(hair, torch.tensor([0.82, 0.82, 0.84])[:, None, None], 0.92 * _smoothstep(0.1, 1.0, age))
    lips = torch.lerp(skin * torch.tensor([0.86, 0.55, 0.55])[:, None, None], _rgb(0.80, 0.16, 0.20), 0.25 + 0.4 * p["lips"][:, None])
    colors = {
        "skin": skin,
        "hair": hair,
        "lips": lips,
        "iris": _ramp([(0.28, 0.16, 0.08), (0.45, 0.33, 0.12), (0.22, 0.52, 0.30), (0.20, 0.50, 0.80)], p["eye_color"]),
        "background": _plane(p["background_a"], p["background_b"], 0.68, 0.36),
        "clothes": _plane(p["clothes_a"], p["clothes_b"], 0.45, 0.60),
        "white": _rgb(0.97, 0.97, 0.97),
        "teeth": _rgb(0.98, 0.97, 0.93),
        "mouth": _rgb(0.33, 0.06, 0.08),
        "ink": _rgb(0.10, 0.07, 0.08),
        "blush": _rgb(0.93, 0.32, 0.30),
        "glasses": _rgb(0.12, 0.12, 0.16),
    }
    return _recolor(c, {k: v.expand(len(skin), 3, 1, 1) for k, v in colors.items()})


def _rgb(*color: float) -> torch.Tensor:
    return torch.tensor(color)[None, :, None, None]


_STONE = dict(skin=0.74, hair=0.60, lips=0.62, iris=0.60, background=0.30, clothes=0.66, white=0.80, teeth=0.86, mouth=0.30,
              ink=0.34, blush=0.70, glasses=0.42)  # fmt: skip


def _recolor(c: _Canvas, colors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Statues keep the tones of identity a little and lose its colors."""
    materials = (("stone", (1.0, 0.99, 0.96)), ("bronze", (1.0, 0.68, 0.36)))
    for style, tint in materials:
        on = c.is_style(style)[:, None]
        for name, color in colors.items():
            tone = 0.85 * _STONE[name] + 0.15 * color.mean(1, keepdim=True)
            colors[name] = torch.lerp(color, tone * _rgb(*tint), on)
    vivid = c.is_style("cartoon")[:, None]
    for name, color in colors.items():
        gray = color.mean(1, keepdim=True)
        colors[name] = torch.lerp(color, (gray + (color - gray) * 1.35 + 0.03).clamp(0, 1), vivid)
    return colors


def _background(c: _Canvas) -> None:
    glow = 1.06 - 0.10 * (c.screen_x.square() + (c.screen_y + 0.2).square()) - 0.05 * c.screen_y
    flat = c.is_style("cartoon")
    c.img = c.colors["background"] * torch.lerp(glow.expand(len(flat), -1, -1), torch.ones(()), flat)[:, None]


def _back_hair(c: _Canvas) -> None:
    length = 0.15 + 0.95 * _smoothstep(0.35, 1.0, c.p["hair_length"])
    width = c.half_width * (1.06 + 0.16 * c.p["hair_volume"]) + 0.05 * (c.y + 0.2).clamp(min=0)
    dx = (c.x + 0.10 * c.sin).abs() - width
    top = ((c.x + 0.10 * c.sin).square() / width.square() + ((c.y + 0.05) / 0.70).square()).sqrt() - 1
    sdf = torch.where(c.y < -0.05, top * width, torch.maximum(dx, c.y - length))
    alpha = c.cover(sdf) * _smoothstep(0.25, 0.45, c.p["hair_length"])
    strands = 0.70 + 0.06 * (c.x * 26).sin()
    c.paint(c.colors["hair"] * strands[:, None], alpha)
    c.masks["hair"] = alpha
    c.outline(sdf + 1e3 * (alpha.amax((1, 2), keepdim=True) < 0.5))


def _body(c: _Canvas) -> None:
    neck = (c.screen_x - 0.04 * c.sin).abs() - (0.19 + 0.03 * c.p["jaw"])
    alpha = c.cover(torch.maximum(neck, 0.45 - c.screen_y))
    shade = 0.64 + 0.16 * _smoothstep(0.6, 1.0, c.screen_y)
    c.paint(c.colors["skin"] * shade[:, None], alpha)
    _erase(c, "hair", alpha)
    r = ((c.screen_x / 0.88).square() + ((c.screen_y - 1.17) / 0.40).square()).sqrt()
    collar = ((c.screen_x / 0.27).square() + ((c.screen_y - 0.76) / 0.12).square()).sqrt()
    sdf = torch.maximum((r - 1) * 0.4, (1 - collar) * 0.13)
    shade = 1.02 - 0.25 * (r - 0.6).clamp(min=0)
    c.paint(c.colors["clothes"] * shade[:, None], c.cover(sdf).expand_as(alpha))
    _erase(c, "hair", c.cover(sdf).expand_as(alpha))
    c.outline(sdf.expand_as(alpha))


def _erase(c: _Canvas, mask: str, alpha: torch.Tensor) -> None:
    c.masks[mask] = c.masks[mask] * (1 - alpha)


def _ear(c: _Canvas, side: int, front: bool) -> None:
    depth = -side * c.sin
    shown = _smoothstep(-0.12, 0.12, depth if front else -depth)
    x = side * c.half_width * (0.98 * c.cos + 0.03)
    r = (((c.x - x) / 0.075).square() + ((c.y - 0.07) / 0.12).square()).sqrt()
    inner = (((c.x - x) / 0.038).square() + ((c.y - 0.07) / 0.065).square()).sqrt()
    tone = 0.90 - 0.22 * _smoothstep(1.1, 0.6, inner)
    c.paint(c.colors["skin"] * tone[:, None], c.cover((r - 1) * 0.075) * shown)
    c.outline((r - 1) * 0.075 + 1e3 * (shown < 0.5))


def _head(c: _Canvas) -> None:
    for side in (-1, 1):
        _ear(c, side, front=False)
    alpha = c.cover(c.head_sdf)
    anger = c.p["anger"].clamp(0, 1)[:, None]
    skin = c.colors["skin"] * (1 + anger * torch.tensor([0.04, -0.06, -0.06])[:, None, None])
    c.paint(skin * c.light(c.normal)[:, None], alpha)
    _erase(c, "hair", alpha)
    c.masks["face"] = alpha
    c.outline(c.head_sdf)
    for side in (-1, 1):
        _ear(c, side, front=True)


def _stain(c: _Canvas, color: torch.Tensor, alpha: torch.Tensor) -> None:
    """Paint on the visible front of the head, lit as the head is."""
    c.paint(color * c.shade, alpha * c.visible * c.masks["face"])


def _blush(c: _Canvas) -> None:
    smile = c.p["smile"].clamp(0, 1)
    r = ((c.side - 0.27) / 0.13).square() + ((c.Y - 0.24 + 0.03 * smile) / 0.10).square()
    _stain(c, c.colors["blush"], (-1.6 * r).exp() * (0.10 + 0.30 * c.p["blush"] + 0.12 * smile) * (1 - 0.6 * c.p["skin"]))


def _beard(c: _Canvas) -> None:
    amount = _smoothstep(0.62, 0.80, c.p["beard"])
    cheek = 0.41 - 1.15 * (c.side - 0.25).clamp(min=0)
    edge = torch.lerp(cheek, torch.full_like(cheek, 0.33), _smoothstep(0.23, 0.15, c.side))
    alpha = _smoothstep(-0.03, 0.04, c.Y - edge) * 0.88
    _stain(c, c.colors["hair"] * 0.9, alpha * amount)


def _wrinkles(c: _Canvas) -> None:
    age, anger, smile = (c.p[k].clamp(0, 1.2) for k in ("age", "anger", "smile"))
    ink = c.colors["skin"] * 0.52
    fade = _smoothstep(0.27, 0.16, c.side)
    arch = c.Y + 0.30 + 0.35 * c.X.square()
    forehead = c.line(arch, 0.010) + c.line(arch + 0.075, 0.009) + c.line(arch - 0.07, 0.008) * 0.8
    _stain(c, ink, forehead * fade * 0.75 * _smoothstep(0.15, 1.0, age))
    dx, dy = c.side - 0.345 - 0.04 * (c.p["eye_spacing"] - 0.5), c.Y - EYE_Y
    feet = c.line(dy - 0.55 * dx, 0.007) + c.line(dy + 0.55 * dx, 0.007) + c.line(dy, 0.006)
    _stain(c, ink, feet * _smoothstep(0.0, 0.02, dx) * _smoothstep(0.13, 0.08, dx) * 0.75 * age)
    bag = ((c.side - 0.20) / 0.11).square() + ((c.Y - EYE_Y - 0.075) / 0.062).square()
    _stain(c, ink, c.line((bag.sqrt() - 1) * 0.06, 0.010) * (c.Y > EYE_Y + 0.085) * 0.65 * age)
    fold = c.side - 0.115 - 0.55 * (c.Y - 0.26).clamp(0, 0.2) + 0.4 * (c.Y - 0.40).clamp(min=0)
    span = _smoothstep(0.24, 0.30, c.Y) * _smoothstep(0.50, 0.42, c.Y)
    _stain(c, ink, c.line(fold, 0.011) * span * (0.75 * age + 0.30 * smile).clamp(max=0.8))
    furrow = c.line(c.side - 0.033 - 0.1 * (c.Y + 0.06), 0.009) * _smoothstep(-0.20, -0.15, c.Y) * _smoothstep(-0.01, -0.05, c.Y)
    _stain(c, ink, furrow * 0.9 * anger)


def _eyes(c: _Canvas) -> None:
    opening = c.p["eyes"].clamp(-0.1, 1.2) * (1 - torch.where(c.X < 0, c.m["wink_left"], c.m["wink_right"]).clamp(-0.2, 1.1))
    size = 0.88 + 0.30 * c.p["eye_size"]
    center = 0.195 + 0.03 * c.p["eye_spacing"]
    a, b = 0.120 * size, 0.090 * size
    dx, dy = c.side - center, c.Y - EYE_Y
    bow = (1 - (dx / a).square()).clamp(min=0).sqrt()
    squint = 1 - 0.14 * c.p["anger"].clamp(0, 1)
    rest = 0.45 * b
    upper = rest * (1 - opening) * bow - b * opening * squint * bow + 0.010 * c.p["anger"] * (-dx / a)
    lower = torch.lerp(rest * bow, 0.82 * b * bow, opening.clamp(0, 1).expand_as(bow))
    inside = c.cover(torch.maximum(torch.maximum(upper - dy, dy - lower), dx.abs() - a))
    socket = (dx / (a * 1.35)).square() + ((dy + 0.02) / (b * 1.6)).square()
    _stain(c, c.colors["skin"] * 0.80, (-1.5 * socket).exp() * 0.55)
    _stain(c, c.colors["white"], inside)
    look = (c.m["gaze"] * 2 - 1) * 0.048 * size
    r = ((dx - look * c.X.sign()).square() + dy.square()).sqrt()
    iris = 0.070 * size
    _stain(c, c.colors["iris"] * (0.75 + 0.5 * (r / iris)).clamp(max=1.2)[:, None], inside * c.cover(r - iris))
    _stain(c, c.colors["ink"], inside * c.cover(r - 0.48 * iris))
    glint = ((c.X - c.X.sign() * center - 0.028 - 0.5 * look).square() + (dy + 0.030).square()).sqrt()
    c.paint(c.colors["white"], inside * c.cover(glint - 0.020) * c.visible)
    lash = c.line(dy - upper, 0.016) * c.cover(dx.abs() - a * 1.04)
    _stain(c, torch.lerp(c.colors["ink"], c.colors["skin"] * 0.35, 0.3), lash)
    lid = c.line(dy - upper + 0.050, 0.006) * c.cover(dx.abs() - a * 0.85)
    _stain(c, c.colors["skin"] * 0.62, lid * 0.7)
    region = ((dx / (a * 1.25)).square() + (dy / (b * 1.45)).square()).sqrt()
    c.masks["eyes"] = _smoothstep(1.15, 0.85, region) * c.visible * c.masks["face"]


def _brows(c: _Canvas) -> None:
    anger = c.p["anger"]
    dx = c.side - 0.205 - 0.03 * c.p["eye_spacing"]
    height = EYE_Y - 0.175 - 0.045 * c.p["brow_height"]
    curve = height + 0.9 * dx.square() + anger * (0.058 - 0.50 * dx) - 0.020 * (1 - anger) * (dx / 0.13)
    width = (0.013 + 0.015 * c.p["brow_thickness"]) * (1.15 - 2.6 * (dx + 0.02).clamp(min=0))
    curve = curve - (c.m["brows"] * 2 - 1) * (0.055 - 0.6 * dx.square())
    alpha = c.cover(torch.maximum((c.Y - curve).abs() - width, dx.abs() - 0.135))
    _stain(c, c.colors["hair"] * 0.62, alpha)
    region = torch.maximum((c.Y - curve).abs() - 0.05, dx.abs() - 0.16)
    c.masks["brows"] = c.cover(region) * c.visible * c.masks["face"]


def _mouth(c: _Canvas) -> None:
    smile, anger, gape = c.p["smile"], c.p["anger"].clamp(0, 1.2), c.m["mouth_open"].clamp(0, 1.2)
    half = (0.150 + 0.030 * c.p["mouth_width"]) * (1 + 0.42 * smile) * (1 - 0.16 * gape)
    q2 = (c.X / half).square()
    arch = (1 - q2).clamp(min=0)
    frown = anger * (1 - 0.55 * smile.clamp(0, 1))
    line = MOUTH_Y + (0.062 * frown - 0.095 * smile) * (q2.clamp(max=1.6) - 0.5) - 0.02 * smile
    gap = 0.155 * gape * (1 - 0.5 * smile.clamp(0, 1))
    line = line - 0.15 * gap
    grin = 0.150 * smile.clamp(min=0)
    opening = grin + gap
    full = 0.55 + 0.75 * c.p["lips"]
    top, bottom = line, line + opening * arch
    lips_top = top - (0.034 * full) * arch.sqrt() * (1 - 0.25 * (-(c.X / 0.03).square()).exp())
    lips_bottom = bottom + (0.046 * full) * arch.sqrt()
    edge = c.X.abs() - half
    lips = c.cover(torch.maximum(torch.maximum(lips_top - c.Y, c.Y - lips_bottom), edge))
    inside = c.cover(torch.maximum(torch.maximum(top - c.Y, c.Y - bottom), edge))
    _stain(c, c.colors["lips"], lips)
    _stain(c, c.colors["mouth"], inside)
    teeth = c.cover(torch.maximum(top + 0.004 - c.Y, c.Y - top - (0.60 * grin + 0.28 * gap) * arch.sqrt())) * inside
    _stain(c, c.colors["teeth"], teeth)
    tongue = (c.X / (0.55 * half)).square() + ((c.Y - bottom) / (0.035 + 0.001)).square()
    _stain(c, c.colors["lips"] * 0.85, inside * (1 - teeth) * _smoothstep(1.1, 0.7, tongue))
    _stain(c, c.colors["mouth"], c.line(c.Y - line, 0.008) * c.cover(edge - 0.012) * (1 - inside) * 0.85)
    region = torch.maximum(torch.maximum(lips_top - 0.05 - c.Y, c.Y - lips_bottom - 0.04), edge - 0.05)
    c.masks["mouth"] = c.cover(region) * c.visible * c.masks["face"]


def _nose(c: _Canvas) -> None:
    size = 0.80 + 0.45 * c.p["nose"]
    tip = c.sin * c.half_width * 1.20
    root = c.sin * c.half_width * 0.96
    y, root_y = c.y - c.dropped(NOSE_Y, 1.12), c.y - c.dropped(EYE_Y, 0.98)
    along = ((root_y - EYE_Y) / (NOSE_Y - EYE_Y)).clamp(0, 1)
    spine = torch.lerp(root.expand_as(along + root), tip.expand_as(along + root), along)
    lit = (c.p["light"] - 0.5) * 1.6 - c.sin
    offset = c.x - spine
    bridge = (-((offset + 0.035 * lit.sign() * lit.abs().clamp(max=1).sqrt()) / 0.030).square()).exp()
    span = _smoothstep(EYE_Y - 0.06, EYE_Y + 0.10, root_y) * _smoothstep(NOSE_Y + 0.03, NOSE_Y - 0.02, y)
    c.paint(c.colors["skin"] * 0.66, bridge * span * 0.34)
    dx, dy = (c.x - tip) / (0.072 * size), (y - NOSE_Y) / (0.052 * size)
    c.paint(c.colors["skin"] * 0.60, (-(dx.square() + (dy - 0.85).square()) * 1.5).exp() * 0.75)
    ball = c.cover(((dx.square() + dy.square()).sqrt() - 1) * 0.055)
    shade = 1.02 - 0.16 * dy - 0.10 * dx * lit.sign()
    c.paint(c.colors["skin"] * shade[:, None], ball * 0.85)
    for side in (-1, 1):
        nostril = ((c.x - tip - side * 0.036 * size) / 0.020).square() + ((y - NOSE_Y - 0.036 * size) / 0.012).square()
        c.paint(c.colors["skin"] * 0.36, (-nostril).exp() * 0.8)
    shine = ((c.x - tip - 0.012).square() + (y - NOSE_Y + 0.018).square()) / 0.018**2
    c.paint(c.colors["white"], (-shine).exp() * 0.30)


def _glasses(c: _Canvas) -> None:
    on = _smoothstep(0.70, 0.78, c.p["glasses"])
    center = 0.205 + 0.03 * c.p["eye_spacing"]
    r = (((c.side - center) / 0.165).pow(4) + ((c.Y - EYE_Y - 0.01) / 0.145).pow(4)).pow(0.25)
    rim = c.line((r - 1) * 0.15, 0.013)
    bridge = c.line(c.Y - EYE_Y + 0.02 - 0.6 * c.side.square(), 0.011) * c.cover(c.side - (center - 0.155))
    arm = c.line(c.Y - EYE_Y + 0.02, 0.011) * c.cover(center + 0.16 - c.side)
    _stain(c, c.colors["white"], c.cover((r - 1) * 0.15) * 0.10 * on)
    _stain(c, c.colors["glasses"], (rim + bridge + arm).clamp(max=1) * on)


def _hair(c: _Canvas) -> None:
    t = (c.y - HEAD_Y + 0.035) / (HEAD_RY * (1.05 + 0.05 * c.p["hair_volume"]))
    end = -0.02 + 0.85 * _smoothstep(0.0, 0.75, c.p["hair_length"])
    full = torch.maximum(_smoothstep(0.0, -0.45, t - end), _smoothstep(0.2, 0.5, c.p["hair_length"]))
    u = c.x / (c.half_width * (1.0 + (0.07 + 0.11 * c.p["hair_volume"]) * full))
    shell = ((u.square() + t.square()).sqrt() - 1) * c.half_width
    z = (1 - u.square() - t.square()).clamp(min=0).sqrt()
    height, depth = c.nodded(t, z)
    side, front = u * c.cos - depth * c.sin, u * c.sin + depth * c.cos
    angle = torch.atan2(side, front)
    receding = 0.10 * c.p["age"].clamp(0, 1) * (1 - c.p["hair_length"])
    line = -0.42 - 0.26 * c.p["hairline"] - receding + 0.20 * (angle / 1.1).square()
    line = line + 0.22 * (c.p["parting"] - 0.5) * angle + 0.025 * (angle * 7).sin() * (1 - angle.square() / 3).clamp(min=0)
    room = math.pi / 2 - c.yaw.abs() - 1.02
    far = (angle * c.sin > 0) * (1 - _smoothstep(0.12, 0.5, room))
    temple = 1.02 + 0.10 * _smoothstep(-0.3, 0.3, height) + far
    opening = torch.maximum((line - height) * HEAD_RY, (angle.abs() - temple) * 0.40)
    end = end + (0.42 - end).clamp(min=0) * _smoothstep(1.45, 2.1, angle.abs())
    fringe_end = (height - end) * HEAD_RY
    sdf = torch.maximum(torch.maximum(shell, -opening), fringe_end)
    alpha = c.cover(sdf)
    strands = 1 + 0.09 * (angle * 15 + 4 * height).sin() + 0.05 * (angle * 31).sin()
    gloss = 0.22 * (-((t + 0.55) / 0.16).square()).exp()
    shade = c.light((u, t, z)) * torch.lerp(strands + gloss, torch.ones(()), c.is_style("cartoon"))
    c.paint(c.colors["hair"] * shade[:, None], alpha)
    c.outline(sdf)
    for name in ("eyes", "brows", "mouth", "face"):
        _erase(c, name, alpha)
    c.masks["hair"] = torch.maximum(c.masks["hair"], alpha)


def _finish(c: _Canvas) -> torch.Tensor:
    img = c.img.clamp(0, 1)
    sketch = c.is_style("sketch")[:, None]
    if sketch.any():
        img = torch.lerp(img, _sketch(img, c.px), sketch)
    return img * 2 - 1


def _sketch(img: torch.Tensor, px: float) -> torch.Tensor:
    """Pencil on paper: dark where the tone changes, a light wash where it is dark."""
    tone = (img * _rgb(0.30, 0.55, 0.15)).sum(1, keepdim=True)
    padded = torch.nn.functional.pad(tone, (1, 1, 1, 1), mode="replicate")
    dx = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
    dy = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    edge = (dx.square() + dy.square() + 1e-6).sqrt() * (0.03125 / px) ** 0.5
    drawn = (1.0 - 1.25 * (edge - 0.03).clamp(min=0) - 0.42 * (0.62 - tone).clamp(min=0)).clamp(0.08, 1)
    return drawn * _rgb(0.97, 0.95, 0.90)
