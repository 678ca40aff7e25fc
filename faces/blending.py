"""How an edited face comes back into its photo: as the difference that the edit makes, or by going over to the drawing of it."""

from __future__ import annotations

from collections.abc import Sequence

from .crop import Crop

# The cosine of brightness gradients with those before the edit. On the avatars head turns keep 0.15 to 0.3 of the outlines, closing eyes
# 0.67 and smiles 0.8 and more. In a photo much finer than the square, details that were never drawn stay behind where outlines move at all.
OUTLINES_KEPT, OUTLINES_KEPT_FINER = 0.5, 0.8
FINER = 2  # photo pixels for one of the square's, from which on a photo is much finer


def shows_two_faces(outlines: float, crops: Sequence[Crop], side: int) -> bool:
    """Whether the difference that an edit makes, added to the photo, would show the face before the edit as well.

    ``outlines``: the share of the outlines that the edit leaves in place, 0..1; ``side``: of the edited square, in pixels. What is left is
    to ``fade`` over to the square itself, all of it: a head that turns leaves the outline of a face.
    """
    finer = max(crop.length for crop in crops) > FINER * side
    return outlines < (OUTLINES_KEPT_FINER if finer else OUTLINES_KEPT)
