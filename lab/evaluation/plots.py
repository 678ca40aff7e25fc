"""Plots and pictures beside the page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from ..training import save_sheet
from .baselines import ALL, LEAKAGE, SUCCESS
from .measure import edited
from .naming import said
from .study import CLEANED, ORACLE, POOLED, SHIPPED, Study
from .world import REACH, STEP, UNSEEN_STYLE

COLUMNS = 7
PANELS = 4
KEPT = (POOLED, CLEANED, SHIPPED, ORACLE)
WIDTH = 3.0


def illustrate(study: Study, sections: dict[str, dict], folder: Path) -> None:
    """Draw every plot and picture that has figures, and note them in their sections as (caption, path)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, caption, file, draw in [*_plots(sections), *_pictures(study)]:
        if sections.get(name, {}).get("rows"):
            draw(folder / file)
            sections[name].setdefault("pictures", []).append((caption, f"{folder.name}/{file}"))


def redraw(sections: dict[str, dict], folder: Path) -> None:
    """Draw the plots again from figures alone; the pictures of faces stay as they are."""
    for name, _, file, draw in _plots(sections):
        if sections.get(name, {}).get("rows"):
            draw(folder / file)


def _plots(s: dict[str, dict]) -> Iterator[tuple[str, str, str, Callable[[Path], None]]]:
    """Section, caption, file, and what draws it from the section's figures."""
    yield "lowrank", "Variance by component", "spectra.png", lambda p: spectra(s["lowrank"], p)
    yield "response", "Response over the coefficient", "response.png", lambda p: curves(s["response"], p, "response", "change")
    yield "response", "Identity over the coefficient", "identity.png", lambda p: curves(s["response"], p, "identity", "cosine")
    yield "response", "Leakage in sigmas", "leakage.png", lambda p: matrices(s["response"], p)
    yield "inversion", "Inversion over steps", "inversion.png", lambda p: inversion(s["inversion"], p)
    yield "baselines", "Leakage and success of every method", "methods.png", lambda p: methods(s["baselines"], p)


def _pictures(study: Study) -> Iterator[tuple[str, str, str, Callable[[Path], None]]]:
    """Section, caption, file, and what draws it with the networks."""
    for group in [*study.ours, ORACLE]:
        file = f"sweeps-{re.sub('[^a-z]+', '-', group.lower()).strip('-')}.png"
        yield "response", f"Two unseen faces swept by each motion, {group}", file, lambda p, g=group: sweeps(study, g, p)
    if study.world.inverter is not None:
        caption = f"A render of each style, its inversion, and each motion, {study.ours[-1]}"
        yield "domains", caption, "styles.png", lambda p: styles(study, study.ours[-1], p)


def _figure(columns: int, rows: int = 1, height: float = 2.8):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot.subplots(rows, columns, figsize=(WIDTH * columns, height * rows), squeeze=False, constrained_layout=True)


def _save(figure, path: Path) -> None:
    from matplotlib import pyplot

    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def spectra(section: dict, path: Path) -> None:
    """Variance shares of the first components, one panel per source."""
    sources = list(dict.fromkeys(name.rpartition(", ")[0] for name in section["spectra"]))
    figure, axes = _figure(len(sources))
    for axis, source in zip(axes[0], sources):
        for name, shares in section["spectra"].items():
            if name.rpartition(", ")[0] == source:
                axis.plot(range(1, len(shares) + 1), shares, marker=".", label=name.rpartition(", ")[2])
        nulls = {r["group"]: r["value"] for r in section["rows"] if r["group"].startswith(f"{source}, null")}
        for (name, value), style in zip(nulls.items(), (":", "--")):
            axis.axhline(value, color="gray", linestyle=style, linewidth=1, label=name.rpartition(": ")[2])
        axis.set(title=said(source), xlabel="component", ylim=(0, 1))
    axes[0][0].set_ylabel("share of variance")
    axes[0][0].legend(fontsize=7)
    _save(figure, path)


def curves(section: dict, path: Path, key: str, label: str) -> None:
    """Median and quartiles of the response or the identity over the coefficient; a panel per motion, a line per group."""
    motions = list(dict.fromkeys(name.split("|")[1] for name in section["curves"]))
    figure, axes = _figure(len(motions), height=3.4)
    for axis, motion in zip(axes[0], motions):
        for name, c in section["curves"].items():
            group, own = name.split("|")
            if own == motion and group.endswith(KEPT):
                axis.plot(c["coefficients"], c[f"{key}50"], label=said(group))
                axis.fill_between(c["coefficients"], c[f"{key}25"], c[f"{key}75"], alpha=0.15)
        axis.set(title=motion, xlabel="coefficient")
    axes[0][0].set_ylabel(label)
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    _save(figure, path)


def matrices(section: dict, path: Path) -> None:
    """The 5 x 5 leakage matrices as heat maps."""
    groups = [g for g in section["matrices"] if g.endswith(KEPT)]
    motions = list(dict.fromkeys(r["motion"] for r in section["rows"]))
    rows = -(-len(groups) // PANELS)
    figure, axes = _figure(min(PANELS, len(groups)), rows, height=3.0)
    for axis, group in zip(axes.flat, groups):
        axis.imshow(section["matrices"][group], vmin=-1, vmax=1, cmap="RdBu_r")
        axis.set_xticks(range(len(section["factors"])), section["factors"], rotation=45)
        axis.set_yticks(range(len(motions)), motions)
        for i, values in enumerate(section["matrices"][group]):
            for j, value in enumerate(values):
                axis.text(j, i, f"{value:+.2f}", ha="center", va="center", fontsize=7, color="white" if abs(value) > 0.6 else "black")
        axis.set_title(said(group), fontsize=6)
    for axis in list(axes.flat)[len(groups) :]:
        axis.set_axis_off()
    _save(figure, path)


def methods(section: dict, path: Path) -> None:
    """Leakage against transfer success of every method, numbered."""
    found = {(r["group"], r["metric"]): r["value"] for r in section["rows"] if r["motion"] == ALL}
    names = [g for g in dict.fromkeys(g for g, _ in found) if (g, SUCCESS.key) in found]
    figure, axes = _figure(1)
    figure.set_size_inches(9, 5)
    for i, name in enumerate(names, 1):
        x, y = found[name, LEAKAGE.key], found[name, SUCCESS.key]
        axes[0][0].scatter(x, y, marker="*" if name.startswith("ours") else "o", label=f"{i} {said(name)}")
        axes[0][0].annotate(str(i), (x, y), fontsize=8, xytext=(4, 3), textcoords="offset points")
    axes[0][0].set(xlabel="leakage at one sigma, mean over motions", ylabel="transfer success", xscale="log")
    figure.legend(loc="outside right upper", fontsize=7)
    _save(figure, path)


def inversion(section: dict, path: Path) -> None:
    """PSNR and factor error over the number of steps."""
    figure, axes = _figure(2)
    for axis, key in zip(axes[0], ("psnr", "factor_error")):
        axis.plot([c["steps"] for c in section["curve"]], [c[key] for c in section["curve"]], marker=".")
        axis.set(xlabel="steps", ylabel=key.replace("_", " "), xscale="log")
    _save(figure, path)


def sweeps(study: Study, group: str, path: Path) -> None:
    """Unseen faces at rising coefficients; rows of each motion together."""
    world, codes = study.world, study.world.tests().codes[:2]
    sheet = []
    for motion in study.motions:
        steps = torch.linspace(0, REACH[motion.name], COLUMNS)
        frames = torch.stack([edited(codes, study.directions(group, motion)[:1], float(c)) for c in steps], 1)
        sheet.append(world.show(frames.flatten(0, 1)))
    save_sheet(torch.cat(sheet), COLUMNS, path)


def styles(study: Study, group: str, path: Path) -> None:
    """One render per style, its inversion, and the inversion at each motion's transfer step."""
    world, sheet = study.world, []
    for style in ("photo", "stone", "sketch", "cartoon", UNSEEN_STYLE):
        picture = world.draw(world.tests().parameters[:1], style)
        codes = world.invert(picture)
        moved = [edited(codes, study.directions(group, m)[:1], STEP[m.name]) for m in study.motions]
        sheet += [picture, world.show(torch.cat([codes, *moved]))]
    save_sheet(torch.cat(sheet), 2 + len(study.motions), path)
