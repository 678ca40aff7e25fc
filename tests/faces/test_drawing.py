"""The numbered picture of the faces that were found."""

import numpy as np
import pytest
from micromotion.faces import Face, FaceError, draw


def test_numbered_faces_are_drawn(photo, landmarks):
    found = [Face(landmarks, (170, 70, 280, 180)), Face(landmarks + 150, (330, 230, 440, 340))]
    shown = draw(photo, found)
    changed = (shown != photo).any(-1)
    assert shown.shape == photo.shape and changed[70:181, 170:281].any() and changed[230:341, 330:441].any()
    assert 0.005 < changed.mean() < 0.1
    points = landmarks.astype(int)
    assert changed[points[:, 1], points[:, 0]].all()
    batch = draw(np.stack([photo, photo]), [found, []])
    np.testing.assert_array_equal(batch[0], shown)
    np.testing.assert_array_equal(batch[1], photo)
    with pytest.raises(FaceError, match="2 frames and faces 1"):
        draw(np.stack([photo, photo]), [found])
