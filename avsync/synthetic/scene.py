"""The picture at any time of a clip: people before their room, through a camera."""

from typing import NamedTuple

import cv2
import numpy as np

from avsync.synthetic.animation import HeadPose, Motion
from avsync.synthetic.canvas import mix, smoothstep
from avsync.synthetic.identity import Identity, draw_face_identity
from avsync.synthetic.lips import Pose
from avsync.synthetic.person import Person

# Height of a head with its hair, and the width it moves in, in mm.
_HEAD_MM, _ROOM_MM = 245.0, 200.0


class View(NamedTuple):
    """A picture `(H, W, 3)` uint8 and what is where in it: `points` (faces, 5, 2), `boxes` (faces,
    4), in pixels."""

    image: np.ndarray
    points: np.ndarray
    boxes: np.ndarray


class Scene:
    """Everything in a clip that is seen.

    Args:
        seed: the same seed gives the same people in the same room.
        faces: how many people, side by side.
        width, height: of the picture in pixels.
    """

    def __init__(self, seed: int, faces: int, width: int, height: int) -> None:
        rng = np.random.default_rng([seed, 4])
        self.seed = seed
        self.room = paint_room(rng, width, height).round().astype(np.uint8)
        self.slot = width / faces
        most = min(height / _HEAD_MM, self.slot / _ROOM_MM)
        self.pixels_per_mm = most * rng.uniform(0.55, 1.0)
        # The room a head can be moved in without leaving the picture.
        self.centres = np.array(
            [
                (
                    self.slot * (face + 0.5 + rng.uniform(-0.15, 0.15) / faces),
                    height * 0.5
                    + (0.5 * height - 120 * self.pixels_per_mm) * rng.uniform(-0.6, 0.5),
                )
                for face in range(faces)
            ]
        )
        self.people, self.bodies, self.motions = [], [], []
        for _ in range(faces):
            who = draw_face_identity(rng)
            self.people.append(Person(who, 1.1 * self.pixels_per_mm))
            self.bodies.append(paint_body(rng, who, self.pixels_per_mm))
            self.motions.append(Motion(rng))
        lit = [0.9 * p.who.skin.mean() * (1 + p.who.ambient) / 2 for p in self.people]
        self.camera = Camera(rng, width, height, subject=float(np.mean(lit)))

    def view(self, index: int, time_s: float, mouths: tuple[Pose, ...]) -> View:
        """The picture of frame `index` at its time, everybody's mouth as given."""
        picture = self.room.copy()
        points, boxes = [], []
        for face, person in enumerate(self.people):
            head = self.motions[face].at(time_s)
            warp = self._head_warp(face, head)
            place(picture, self.bodies[face], self._body_warp(face, head))
            place(picture, person.draw(mouths[face], head), warp)
            points.append(_through(warp, person.points(mouths[face], head)))
            boxes.append(_face_box(warp, person, mouths[face]))
        noise = np.random.default_rng([self.seed, 5, index])
        return View(self.camera.take(picture, noise), np.stack(points), np.stack(boxes))

    def _head_warp(self, face: int, head: HeadPose) -> np.ndarray:
        """From the head's sheet to the picture, pixel centres to pixel centres."""
        factor = self.pixels_per_mm * head.scale / self.people[face].canvas.scale
        cos, sin = factor * np.cos(head.roll), factor * np.sin(head.roll)
        turn = np.array([[cos, -sin], [sin, cos]])
        # Heads roll about the neck, some way below the eyes.
        pivot = self.people[face].canvas.pixels(np.array([0.0, 60.0]))
        at = self._centre(face, head) + np.array([0, 50]) * self.pixels_per_mm
        return np.column_stack([turn, at - turn @ pivot])

    def _body_warp(self, face: int, head: HeadPose) -> np.ndarray:
        centre = self.centres[face] + 0.7 * (self._centre(face, head) - self.centres[face])
        corner = centre + (np.array(body_origin()) - [0, 10]) * self.pixels_per_mm * head.scale
        return np.column_stack([head.scale * np.eye(2), corner])

    def _centre(self, face: int, head: HeadPose) -> np.ndarray:
        move = np.array([head.shift_x, head.shift_y]) * 200 * self.pixels_per_mm
        return self.centres[face] + move


def _through(warp: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ warp[:, :2].T + warp[:, 2]


def _face_box(warp: np.ndarray, person: Person, mouth: Pose) -> np.ndarray:
    who = person.who
    chin = who.chin_y + mouth.jaw_mm
    corners = [(side * who.half_width, y) for side in (-1, 1) for y in (who.hairline_y, chin)]
    ends = _through(warp, person.canvas.pixels(np.array(corners)))
    return np.concatenate([ends.min(0), ends.max(0)])


# Millimetres of the sheet the shoulders are drawn on.
_BODY = (-260.0, 60.0, 260.0, 460.0)
_NOISE_MARGIN = 64
_LEAST_BRIGHTNESS = 62.0


def paint_room(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """A wall, a blurred room or a rough surface, `(height, width, 3)` float32 0..255."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : width / height : width * 1j].astype(np.float32)
    tint = rng.uniform(30, 225) * rng.uniform(0.75, 1.1, 3)
    turn = rng.uniform(0, 2 * np.pi)
    ramp = np.cos(turn) * (x - x.mean()) + np.sin(turn) * (y - 0.5)
    room = (tint * (1 + rng.uniform(0, 0.6) * ramp)[..., None]).astype(np.float32)
    if rng.random() < 0.65:
        _furnish(rng, room)
    if rng.random() < 0.5:
        cells = int(rng.integers(4, 60))
        coarse = rng.standard_normal((cells, 2 * cells, 1)).astype(np.float32)
        room *= 1 + rng.uniform(0.02, 0.12) * cv2.resize(coarse, (width, height))[..., None]
    return np.clip(room, 0, 255)


def _furnish(rng: np.random.Generator, room: np.ndarray) -> None:
    height, width = room.shape[:2]
    for _ in range(int(rng.integers(2, 14))):
        colour = [float(c) for c in rng.uniform(10, 245) * rng.uniform(0.6, 1.1, 3)]
        x, y = int(rng.uniform(0, width)), int(rng.uniform(0, height))
        w, h = int(rng.uniform(0.03, 0.3) * width), int(rng.uniform(0.05, 0.6) * height)
        if rng.random() < 0.7:
            cv2.rectangle(room, (x, y), (x + w, y + h), colour, -1, cv2.LINE_AA)
        else:
            cv2.circle(room, (x, y), min(w, h), colour, -1, cv2.LINE_AA)
    room[:] = cv2.GaussianBlur(room, (0, 0), rng.choice((0.004, 0.015, 0.04)) * width + 0.3)


def paint_body(rng: np.random.Generator, who: Identity, scale: float) -> np.ndarray:
    """Neck, shoulders and clothes, `(h, w, 4)` uint8, colour times alpha and alpha, at pixels per
    mm."""
    left, top, right, bottom = _BODY
    width, height = round((right - left) * scale), round((bottom - top) * scale)
    x = (left + (np.arange(width, dtype=np.float32) + 0.5) / scale)[None]
    y = (top + (np.arange(height, dtype=np.float32) + 0.5) / scale)[:, None]
    rgb = np.zeros((height, width, 3), np.float32)
    neck_half = who.half_width * rng.uniform(0.62, 0.80)
    # Neck and shoulders are one line: straight down, then ever flatter.
    spread = rng.uniform(0.008, 0.02)
    shoulders = 118 + np.sqrt(np.clip(np.abs(x) - neck_half, 0, None) / spread)
    neck_half = neck_half + spread * np.clip(y - 118, 0, None) ** 2
    neck = smoothstep((neck_half - np.abs(x)) * 0.4 + 0.5) * (np.abs(x) < 95)
    round_off = np.sqrt(np.clip(1 - (x / neck_half) ** 2 * 0.8, 0.1, 1))
    lit = who.ambient + (1 - who.ambient) * (0.5 + 0.5 * who.light[0] * x / neck_half)
    under_chin = 1 - 0.5 * np.exp(-0.5 * ((y - who.chin_y - 8) / 22) ** 2)
    rgb += who.skin * (0.85 * round_off * lit * under_chin)[..., None]
    cloth = rng.uniform(15, 235) * rng.uniform(0.5, 1.15, 3)
    neckline = 140 + rng.uniform(8, 60) * np.exp(-((x / 40) ** 2))
    cover = smoothstep((y - shoulders + 3) / 4) * smoothstep((y - neckline) / 3)
    cover = cover * smoothstep((rng.uniform(190, 240) - np.abs(x)) / 8)
    weave = cv2.resize(
        rng.standard_normal((40, 52)).astype(np.float32),
        (width, height),
        interpolation=cv2.INTER_CUBIC,
    )
    tone = 0.75 + 0.3 * who.light[0] * x / 250 + 0.07 * weave + 0 * y
    if rng.random() < 0.4:
        tone = tone + 0.12 * np.sign(
            np.sin((x if rng.random() < 0.5 else y + 0 * x) / rng.uniform(2, 8))
        )
    shade = 1 - 0.4 * np.exp(-0.5 * ((y - neckline) / 6) ** 2)
    alpha = np.maximum(neck, cover)
    mix(rgb, (cloth * np.clip(tone * shade, 0.2, 1.3)[..., None]).astype(np.float32), cover)
    if who.hair == 3:
        inner = 0.55 * who.half_width
        fall = smoothstep((who.half_width + 10 - np.abs(x)) / 6)
        fall = fall * smoothstep((np.abs(x) - inner) / 8)
        behind = fall * smoothstep((rng.uniform(150, 330) - y) / 12)
        mix(rgb, who.hair_rgb * 0.55, behind * (1 - 0.3 * np.clip(weave, 0, 1)))
        alpha = np.maximum(alpha, behind)
    rgb = np.clip(rgb, 0, 255) * alpha[..., None]
    return np.concatenate([rgb, 255 * alpha[..., None]], -1).round().astype(np.uint8)


def body_origin() -> tuple[float, float]:
    """Millimetres of the body sheet's upper left corner on the face's sheet."""
    return _BODY[0], _BODY[1]


def place(picture: np.ndarray, layer: np.ndarray, warp: np.ndarray) -> None:
    """Lays a layer `(h, w, 4)` of colour times alpha over `picture` in place, through the 2x3
    `warp` to its pixels."""
    height, width = picture.shape[:2]
    rows, columns = layer.shape[:2]
    ends = warp @ np.array([(0, 0, 1), (columns, 0, 1), (0, rows, 1), (columns, rows, 1)]).T
    x0, y0 = (max(0, int(v)) for v in np.floor(ends.min(1)))
    x1, y1 = (
        min(b, int(v) + 1) for b, v in zip((width, height), np.ceil(ends.max(1)), strict=True)
    )
    if x1 <= x0 or y1 <= y0:
        return
    shifted = warp.copy()
    shifted[:, 2] -= x0, y0
    moved = cv2.warpAffine(layer, shifted, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
    through = cv2.cvtColor(255 - moved[..., 3], cv2.COLOR_GRAY2RGB)
    under = picture[y0:y1, x0:x1]
    cv2.multiply(under, through, dst=under, scale=1 / 255)
    cv2.add(under, moved[..., :3], dst=under)


class Camera:
    """Blur, colour cast, contrast, vignette and noise of one camera.

    Args:
        rng: draws its character.
        width, height: of its picture in pixels.
        subject: brightness 0..255 of the faces, which it will not leave in the dark.
    """

    def __init__(self, rng: np.random.Generator, width: int, height: int, subject: float) -> None:
        self.blur = rng.uniform(0, 1.1) if rng.random() < 0.6 else 0.0
        gamma, gain = rng.uniform(0.75, 1.3), rng.uniform(0.8, 1.15)
        gain *= max(1.0, _LEAST_BRIGHTNESS / (255 * (subject / 255) ** gamma * gain))
        cast = rng.normal(1, 0.06, 3)
        levels = np.linspace(0, 1, 256)[:, None] ** gamma * gain * cast
        lift = rng.uniform(0, 0.06)
        self.table = np.clip(255 * (lift + (1 - lift) * levels), 0, 255).round().astype(np.uint8)
        self.table = self.table[None]
        strength = rng.uniform(0.3, 6.0) if rng.random() < 0.8 else 0.0
        grain = rng.standard_normal((height + _NOISE_MARGIN, width + _NOISE_MARGIN, 3))
        grain = (strength * (0.7 * grain + 0.6 * grain[..., :1])).round()
        # Kept as what it adds and what it takes: adding bytes is far faster than mixing types.
        self.lighter = np.clip(grain, 0, 255).astype(np.uint8)
        self.darker = np.clip(-grain, 0, 255).astype(np.uint8)
        self.grey = bool(rng.random() < 0.06)

    def take(self, picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The picture `(height, width, 3)` uint8 as the camera gives it; `rng` draws this frame's
        noise."""
        height, width = picture.shape[:2]
        if self.blur > 0.3:
            picture = cv2.GaussianBlur(picture, (0, 0), self.blur)
        picture = cv2.LUT(picture, self.table)
        y, x = rng.integers(0, _NOISE_MARGIN, 2)
        part = (slice(y, y + height), slice(x, x + width))
        noisy = cv2.subtract(cv2.add(picture, self.lighter[part]), self.darker[part])
        return (
            cv2.cvtColor(cv2.cvtColor(noisy, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            if self.grey
            else noisy
        )
