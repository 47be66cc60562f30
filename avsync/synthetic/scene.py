"""Render the image at any time of a clip: people in front of a background, through a camera."""

from typing import NamedTuple

import cv2
import numpy as np

from avsync.synthetic.animation import HeadMotion, HeadPose
from avsync.synthetic.canvas import blend, smoothstep
from avsync.synthetic.identity import FaceIdentity, draw_face_identity
from avsync.synthetic.lips import MouthPose
from avsync.synthetic.person import PersonRenderer

# Height of a head with its hair, and width of the space it moves in, in mm.
_HEAD_MM, _SPACE_MM = 245.0, 200.0
# The body's canvas in mm of the face's: left, top, right, bottom.
_BODY = (-260.0, 60.0, 260.0, 460.0)
_NOISE_MARGIN = 64
_MIN_BRIGHTNESS = 62.0


class RenderedFrame(NamedTuple):
    """An image `(H, W, 3)` uint8 with its ground truth in pixels.

    `points` are (faces, 5, 2), `boxes` are (faces, 4), both as in `SyntheticClip`.
    """

    image: np.ndarray
    points: np.ndarray
    boxes: np.ndarray


class Scene:
    """All that is visible in a clip.

    Args:
        seed: the same seed gives the same people in front of the same background.
        faces: number of people, side by side.
        width, height: of the image in pixels.
    """

    def __init__(self, seed: int, faces: int, width: int, height: int) -> None:
        rng = np.random.default_rng([seed, 4])
        self.seed = seed
        self.background = paint_background(rng, width, height).round().astype(np.uint8)
        self.slot = width / faces
        largest = min(height / _HEAD_MM, self.slot / _SPACE_MM)
        self.pixels_per_mm = largest * rng.uniform(0.55, 1.0)
        # Positions in which a head can move without leaving the image.
        self.centres = np.array(
            [
                (
                    self.slot * (k + 0.5 + rng.uniform(-0.15, 0.15) / faces),
                    height * 0.5
                    + (0.5 * height - 120 * self.pixels_per_mm) * rng.uniform(-0.6, 0.5),
                )
                for k in range(faces)
            ]
        )
        self.people, self.bodies, self.motions = [], [], []
        for _ in range(faces):
            face = draw_face_identity(rng)
            self.people.append(PersonRenderer(face, 1.1 * self.pixels_per_mm))
            self.bodies.append(paint_body(rng, face, self.pixels_per_mm))
            self.motions.append(HeadMotion(rng))
        lit = [0.9 * p.face.skin.mean() * (1 + p.face.ambient) / 2 for p in self.people]
        self.camera = Camera(rng, width, height, brightness=float(np.mean(lit)))

    def render(self, index: int, time_s: float, mouths: tuple[MouthPose, ...]) -> RenderedFrame:
        """Render frame `index` at its time, with every person's mouth as given."""
        image = self.background.copy()
        points, boxes = [], []
        for k, person in enumerate(self.people):
            head = self.motions[k].at(time_s)
            matrix = self._head_matrix(k, head)
            composite(image, self.bodies[k], self._body_matrix(k, head))
            composite(image, person.draw(mouths[k], head), matrix)
            points.append(_transform(matrix, person.points(mouths[k], head)))
            boxes.append(_face_box(matrix, person, mouths[k]))
        noise = np.random.default_rng([self.seed, 5, index])
        return RenderedFrame(self.camera.expose(image, noise), np.stack(points), np.stack(boxes))

    def _head_matrix(self, k: int, head: HeadPose) -> np.ndarray:
        """Return the 2x3 map from the head's canvas to the image, pixel centres to centres."""
        canvas = self.people[k].canvas
        factor = self.pixels_per_mm * head.scale / canvas.scale
        cos, sin = factor * np.cos(head.roll), factor * np.sin(head.roll)
        rotation = np.array([[cos, -sin], [sin, cos]])
        # Heads roll about the neck, which is below the eyes.
        pivot = canvas.pixels(np.array([0.0, 60.0]))
        at = self._centre(k, head) + np.array([0, 50]) * self.pixels_per_mm
        return np.column_stack([rotation, at - rotation @ pivot])

    def _body_matrix(self, k: int, head: HeadPose) -> np.ndarray:
        centre = self.centres[k] + 0.7 * (self._centre(k, head) - self.centres[k])
        corner = centre + (np.array(_BODY[:2]) - [0, 10]) * self.pixels_per_mm * head.scale
        return np.column_stack([head.scale * np.eye(2), corner])

    def _centre(self, k: int, head: HeadPose) -> np.ndarray:
        shift = np.array([head.shift_x, head.shift_y]) * 200 * self.pixels_per_mm
        return self.centres[k] + shift


def composite(image: np.ndarray, layer: np.ndarray, matrix: np.ndarray) -> None:
    """Composite a layer over an image in place.

    Args:
        image: `(H, W, 3)` uint8.
        layer: `(h, w, 4)` uint8, premultiplied colour and alpha.
        matrix: affine map `(2, 3)` from the layer's pixels to the image's.
    """
    height, width = image.shape[:2]
    rows, columns = layer.shape[:2]
    ends = matrix @ np.array([(0, 0, 1), (columns, 0, 1), (0, rows, 1), (columns, rows, 1)]).T
    x0, y0 = (max(0, int(v)) for v in np.floor(ends.min(1)))
    x1, y1 = (
        min(b, int(v) + 1) for b, v in zip((width, height), np.ceil(ends.max(1)), strict=True)
    )
    if x1 <= x0 or y1 <= y0:
        return
    shifted = matrix.copy()
    shifted[:, 2] -= x0, y0
    warped = cv2.warpAffine(layer, shifted, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
    transparency = cv2.cvtColor(255 - warped[..., 3], cv2.COLOR_GRAY2RGB)
    under = image[y0:y1, x0:x1]
    cv2.multiply(under, transparency, dst=under, scale=1 / 255)
    cv2.add(under, warped[..., :3], dst=under)


def _transform(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


def _face_box(matrix: np.ndarray, person: PersonRenderer, mouth: MouthPose) -> np.ndarray:
    face = person.face
    chin = face.chin_y + mouth.jaw_mm
    corners = [(side * face.half_width, y) for side in (-1, 1) for y in (face.hairline_y, chin)]
    ends = _transform(matrix, person.canvas.pixels(np.array(corners)))
    return np.concatenate([ends.min(0), ends.max(0)])


class Camera:
    """Blur, colour cast, contrast and noise of one camera.

    Args:
        rng: draws its characteristics.
        width, height: of its image in pixels.
        brightness: of the faces, 0..255; the gain is raised if they would come out too dark.
    """

    def __init__(
        self, rng: np.random.Generator, width: int, height: int, brightness: float
    ) -> None:
        self.blur = rng.uniform(0, 1.1) if rng.random() < 0.6 else 0.0
        gamma, gain = rng.uniform(0.75, 1.3), rng.uniform(0.8, 1.15)
        gain *= max(1.0, _MIN_BRIGHTNESS / (255 * (brightness / 255) ** gamma * gain))
        cast = rng.normal(1, 0.06, 3)
        levels = np.linspace(0, 1, 256)[:, None] ** gamma * gain * cast
        lift = rng.uniform(0, 0.06)
        self.table = np.clip(255 * (lift + (1 - lift) * levels), 0, 255).round().astype(np.uint8)
        self.table = self.table[None]
        strength = rng.uniform(0.3, 6.0) if rng.random() < 0.8 else 0.0
        grain = rng.standard_normal((height + _NOISE_MARGIN, width + _NOISE_MARGIN, 3))
        grain = (strength * (0.7 * grain + 0.6 * grain[..., :1])).round()
        # Positive and negative parts apart: adding bytes is far faster than mixing types.
        self.lighter = np.clip(grain, 0, 255).astype(np.uint8)
        self.darker = np.clip(-grain, 0, 255).astype(np.uint8)
        self.grey = bool(rng.random() < 0.06)

    def expose(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return an image `(height, width, 3)` uint8 as the camera records it.

        Args:
            image: the scene.
            rng: draws this frame's noise.
        """
        height, width = image.shape[:2]
        if self.blur > 0.3:
            image = cv2.GaussianBlur(image, (0, 0), self.blur)
        image = cv2.LUT(image, self.table)
        y, x = rng.integers(0, _NOISE_MARGIN, 2)
        part = (slice(y, y + height), slice(x, x + width))
        noisy = cv2.subtract(cv2.add(image, self.lighter[part]), self.darker[part])
        if not self.grey:
            return noisy
        return cv2.cvtColor(cv2.cvtColor(noisy, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def paint_background(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Paint a wall, a blurred room or a rough surface, `(height, width, 3)` float32 0..255."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : width / height : width * 1j].astype(np.float32)
    tint = rng.uniform(30, 225) * rng.uniform(0.75, 1.1, 3)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = np.cos(angle) * (x - x.mean()) + np.sin(angle) * (y - 0.5)
    image = (tint * (1 + rng.uniform(0, 0.6) * ramp)[..., None]).astype(np.float32)
    if rng.random() < 0.65:
        _paint_furniture(rng, image)
    if rng.random() < 0.5:
        cells = int(rng.integers(4, 60))
        coarse = rng.standard_normal((cells, 2 * cells, 1)).astype(np.float32)
        image *= 1 + rng.uniform(0.02, 0.12) * cv2.resize(coarse, (width, height))[..., None]
    return np.clip(image, 0, 255)


def _paint_furniture(rng: np.random.Generator, image: np.ndarray) -> None:
    height, width = image.shape[:2]
    for _ in range(int(rng.integers(2, 14))):
        colour = [float(c) for c in rng.uniform(10, 245) * rng.uniform(0.6, 1.1, 3)]
        x, y = int(rng.uniform(0, width)), int(rng.uniform(0, height))
        w, h = int(rng.uniform(0.03, 0.3) * width), int(rng.uniform(0.05, 0.6) * height)
        if rng.random() < 0.7:
            cv2.rectangle(image, (x, y), (x + w, y + h), colour, -1, cv2.LINE_AA)
        else:
            cv2.circle(image, (x, y), min(w, h), colour, -1, cv2.LINE_AA)
    image[:] = cv2.GaussianBlur(image, (0, 0), rng.choice((0.004, 0.015, 0.04)) * width + 0.3)


def paint_body(rng: np.random.Generator, face: FaceIdentity, scale: float) -> np.ndarray:
    """Paint neck, shoulders and clothes.

    Args:
        rng: draws the shape and the clothes.
        face: the person.
        scale: pixels per mm.

    Returns:
        Layer `(h, w, 4)` uint8, premultiplied colour and alpha.
    """
    left, top, right, bottom = _BODY
    width, height = round((right - left) * scale), round((bottom - top) * scale)
    x = (left + (np.arange(width, dtype=np.float32) + 0.5) / scale)[None]
    y = (top + (np.arange(height, dtype=np.float32) + 0.5) / scale)[:, None]
    rgb = np.zeros((height, width, 3), np.float32)
    neck_half = face.half_width * rng.uniform(0.62, 0.80)
    # Neck and shoulders are one curve: straight down, then flatter and flatter.
    spread = rng.uniform(0.008, 0.02)
    shoulders = 118 + np.sqrt(np.clip(np.abs(x) - neck_half, 0, None) / spread)
    neck_half = neck_half + spread * np.clip(y - 118, 0, None) ** 2
    neck = smoothstep((neck_half - np.abs(x)) * 0.4 + 0.5) * (np.abs(x) < 95)
    round_off = np.sqrt(np.clip(1 - (x / neck_half) ** 2 * 0.8, 0.1, 1))
    lit = face.ambient + (1 - face.ambient) * (0.5 + 0.5 * face.light[0] * x / neck_half)
    under_chin = 1 - 0.5 * np.exp(-0.5 * ((y - face.chin_y - 8) / 22) ** 2)
    rgb += face.skin * (0.85 * round_off * lit * under_chin)[..., None]
    cloth = rng.uniform(15, 235) * rng.uniform(0.5, 1.15, 3)
    neckline = 140 + rng.uniform(8, 60) * np.exp(-((x / 40) ** 2))
    cover = smoothstep((y - shoulders + 3) / 4) * smoothstep((y - neckline) / 3)
    cover = cover * smoothstep((rng.uniform(190, 240) - np.abs(x)) / 8)
    tone, weave = _fabric(rng, face, x, y)
    shade = 1 - 0.4 * np.exp(-0.5 * ((y - neckline) / 6) ** 2)
    alpha = np.maximum(neck, cover)
    blend(rgb, (cloth * np.clip(tone * shade, 0.2, 1.3)[..., None]).astype(np.float32), cover)
    if face.hair == 3:
        inner = 0.55 * face.half_width
        fall = smoothstep((face.half_width + 10 - np.abs(x)) / 6)
        fall = fall * smoothstep((np.abs(x) - inner) / 8)
        behind = fall * smoothstep((rng.uniform(150, 330) - y) / 12)
        blend(rgb, face.hair_rgb * 0.55, behind * (1 - 0.3 * np.clip(weave, 0, 1)))
        alpha = np.maximum(alpha, behind)
    rgb = np.clip(rgb, 0, 255) * alpha[..., None]
    return np.concatenate([rgb, 255 * alpha[..., None]], -1).round().astype(np.uint8)


def _fabric(
    rng: np.random.Generator, face: FaceIdentity, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the tone and the weave of the clothes, both `(h, w)`."""
    threads = rng.standard_normal((40, 52)).astype(np.float32)
    weave = cv2.resize(threads, (x.shape[1], y.shape[0]), interpolation=cv2.INTER_CUBIC)
    tone = 0.75 + 0.3 * face.light[0] * x / 250 + 0.07 * weave + 0 * y
    if rng.random() < 0.4:
        stripes = (x if rng.random() < 0.5 else y + 0 * x) / rng.uniform(2, 8)
        tone = tone + 0.12 * np.sign(np.sin(stripes))
    return tone, weave
