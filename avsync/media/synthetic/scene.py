"""The picture at any time of a clip: people before their room, through a camera."""

from typing import NamedTuple

import numpy as np

from avsync.media.synthetic.identity import draw_identity
from avsync.media.synthetic.lips import Pose
from avsync.media.synthetic.motion import HeadPose, Motion
from avsync.media.synthetic.person import Person
from avsync.media.synthetic.stage import Camera, body_origin, paint_body, paint_room, place

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
            who = draw_identity(rng)
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
