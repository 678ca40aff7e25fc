"""An independent reading of the published alignment steps, with SciPy, to test ours against: one flat recipe, 8 bit throughout."""

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter


def official_align(photo: np.ndarray, points: np.ndarray, out: int, transform: int) -> np.ndarray:
    points = np.asarray(points, dtype=np.float64)
    eye_l, eye_r = np.mean(points[36:42], axis=0), np.mean(points[42:48], axis=0)
    e, m = (eye_l + eye_r) * 0.5, (points[48] + points[54]) * 0.5
    eye_to_eye, eye_to_mouth = eye_r - eye_l, m - e
    x = eye_to_eye - np.array([-eye_to_mouth[1], eye_to_mouth[0]])
    x /= np.hypot(x[0], x[1])
    x *= max(np.hypot(*eye_to_eye) * 2.0, np.hypot(*eye_to_mouth) * 1.8)
    y = np.array([-x[1], x[0]])
    c = e + eye_to_mouth * 0.1
    quad = np.stack([c - x - y, c - x + y, c + x + y, c + x - y])
    qsize = np.hypot(*x) * 2
    img = Image.fromarray(photo)

    s = int(np.floor(qsize / out * 0.5))
    if s > 1:
        img = img.resize((int(np.rint(img.size[0] / s)), int(np.rint(img.size[1] / s))), Image.Resampling.LANCZOS)
        quad, qsize = quad / s, qsize / s

    border = max(int(np.rint(qsize * 0.1)), 3)
    x0, y0 = (int(np.floor(v)) for v in quad.min(axis=0))
    x1, y1 = (int(np.ceil(v)) for v in quad.max(axis=0))
    box = (max(x0 - border, 0), max(y0 - border, 0), min(x1 + border, img.size[0]), min(y1 + border, img.size[1]))
    if box[2] - box[0] < img.size[0] or box[3] - box[1] < img.size[1]:
        img = img.crop(box)
        quad = quad - box[:2]

    x0, y0 = (int(np.floor(v)) for v in quad.min(axis=0))
    x1, y1 = (int(np.ceil(v)) for v in quad.max(axis=0))
    pad = [max(-x0 + border, 0), max(-y0 + border, 0), max(x1 - img.size[0] + border, 0), max(y1 - img.size[1] + border, 0)]
    if max(pad) > border - 4:
        pad = np.maximum(pad, int(np.rint(qsize * 0.3)))
        arr = np.pad(np.float32(img), ((pad[1], pad[3]), (pad[0], pad[2]), (0, 0)), "reflect")
        h, w, _ = arr.shape
        gy, gx, _ = np.ogrid[:h, :w, :1]
        mask = np.maximum(
            1.0 - np.minimum(np.float32(gx) / pad[0], np.float32(w - 1 - gx) / pad[2]),
            1.0 - np.minimum(np.float32(gy) / pad[1], np.float32(h - 1 - gy) / pad[3]),
        )
        blur = qsize * 0.02
        arr += (gaussian_filter(arr, [blur, blur, 0]) - arr) * np.clip(mask * 3.0 + 1.0, 0.0, 1.0)
        arr += (np.median(arr, axis=(0, 1)) - arr) * np.clip(mask, 0.0, 1.0)
        img = Image.fromarray(np.uint8(np.clip(np.rint(arr), 0, 255)))
        quad = quad + pad[:2]

    img = img.transform((transform, transform), Image.Transform.QUAD, (quad + 0.5).flatten().tolist(), Image.Resampling.BILINEAR)
    return np.asarray(img.resize((out, out), Image.Resampling.LANCZOS) if out < transform else img)
