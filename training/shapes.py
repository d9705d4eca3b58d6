"""Pictures of shapes for training and testing `vision.py`: their content, drawing and augmentation."""

from __future__ import annotations

import io
import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 64
COLOURS = {
    "red": (215, 35, 35),
    "green": (30, 150, 50),
    "blue": (35, 70, 210),
    "yellow": (240, 215, 30),
    "purple": (140, 45, 165),
    "orange": (245, 140, 20),
    "black": (20, 20, 20),
    "white": (245, 245, 245),
}
SHAPES = ("circle", "square", "triangle", "star", "cross")
NUMBERS = ("one", "two", "three", "four")
REGULAR: dict[str, tuple[int, float, tuple[float, ...]]] = {
    "square": (4, math.pi / 4, (1.0,)),
    "triangle": (3, -math.pi / 2, (1.0,)),
    "star": (10, -math.pi / 2, (1.0, 0.42)),
}
"""Corners, the angle of the first, and their distances from the centre in turn."""


@dataclass(frozen=True)
class Scene:
    """The content of a picture."""

    colour: str
    shape: str
    count: int

    @property
    def named(self) -> str:
        """Describe it: "a red circle", "three blue squares"."""
        if self.count == 1:
            return f"{'an' if self.colour == 'orange' else 'a'} {self.colour} {self.shape}"
        return f"{NUMBERS[self.count - 1]} {self.colour} {plural(self.shape)}"


def plural(shape: str) -> str:
    """Return the name of several."""
    return f"{shape}es" if shape.endswith("s") else f"{shape}s"


def some_scene(rng: random.Random) -> Scene:
    """Draw at random."""
    return Scene(rng.choice(list(COLOURS)), rng.choice(SHAPES), rng.choice((1, 1, 2, 3, 4)))


def draw(scene: Scene, rng: random.Random, side: int) -> Image.Image:
    """Draw a scene, `side` pixels square, on a background that it stands out from."""
    big = side * 3
    colour = _near(COLOURS[scene.colour], rng, 14)
    image = Image.new("RGB", (big, big), _background(colour, rng))
    canvas = ImageDraw.Draw(image)
    for x, y, radius in _places(scene.count, rng):
        points = _outline(scene.shape, rng)
        if points is None:
            corners = (x - radius, y - radius, x + radius, y + radius)
            canvas.ellipse([corner * big for corner in corners], fill=colour)
        else:
            canvas.polygon([((x + px * radius) * big, (y + py * radius) * big) for px, py in points], fill=colour)
    return image.resize((side, side), Image.Resampling.LANCZOS)


def _near(colour: tuple[int, ...], rng: random.Random, spread: int) -> tuple[int, int, int]:
    red, green, blue = (min(255, max(0, part + rng.randint(-spread, spread))) for part in colour)
    return red, green, blue


def _background(colour: tuple[int, ...], rng: random.Random) -> tuple[int, int, int]:
    """Return a greyish colour that is far from `colour`."""
    while True:
        grey = rng.choice((rng.randint(0, 255), rng.randint(200, 255)))
        found = _near((grey, grey, grey), rng, 18)
        if sum((a - b) ** 2 for a, b in zip(found, colour, strict=True)) > 110**2:
            return found


def _places(count: int, rng: random.Random) -> list[tuple[float, float, float]]:
    """Return centres and radii, of 0 to 1, that do not touch."""
    widest = {1: 0.42, 2: 0.24, 3: 0.2, 4: 0.19}[count]
    while True:
        radius = rng.uniform(0.6 if count > 1 else 0.4, 1.0) * widest
        spots: list[tuple[float, float, float]] = []
        for _ in range(60):
            x, y = (rng.uniform(radius + 0.01, 0.99 - radius) for _ in "xy")
            if all(math.hypot(x - a, y - b) > 2.15 * radius for a, b, _ in spots):
                spots.append((x, y, radius))
                if len(spots) == count:
                    return spots


def _outline(shape: str, rng: random.Random) -> list[tuple[float, float]] | None:
    """Return a polygon within the unit circle, None for a circle; squares and triangles lean a little."""
    lean = rng.uniform(-0.12, 0.12)

    def around(steps: int, start: float, radii: tuple[float, ...]) -> list[tuple[float, float]]:
        angles = (start + lean + 2 * math.pi * step / steps for step in range(steps))
        points = ((angle, radii[place % len(radii)]) for place, angle in enumerate(angles))
        return [(math.cos(angle) * radius, math.sin(angle) * radius) for angle, radius in points]

    if shape == "circle":
        return None
    if shape in REGULAR:
        return around(*REGULAR[shape])
    arm = 0.34
    corners = [(-arm, -1), (arm, -1), (arm, -arm), (1, -arm), (1, arm), (arm, arm), (arm, 1), (-arm, 1), (-arm, arm),
               (-1, arm), (-1, -arm), (-arm, -arm)]  # fmt: skip
    cos, sin = math.cos(lean), math.sin(lean)
    return [(x * cos - y * sin, x * sin + y * cos) for x, y in corners]


def spoiled(image: Image.Image, rng: random.Random) -> Image.Image:
    """Augment a picture as cameras and encoders do: blur, JPEG, noise."""
    if rng.random() < 0.25:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.9)))
    if rng.random() < 0.4:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=rng.randint(35, 95))
        image = Image.open(file).convert("RGB")
    return image


def small(image: Image.Image, rng: random.Random) -> np.ndarray:
    """Return the picture as the vision tower gets it: uint8 [SIDE, SIDE, 3], scaled in one way or another."""
    way = rng.choice((Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC))
    return np.asarray(image.resize((SIDE, SIDE), way), np.uint8)


def make_pool(count: int, seed: int) -> list[tuple[Scene, np.ndarray]]:
    """Draw pictures to train on; one call a seed gives the same ones."""
    rng = random.Random(seed)
    pool = []
    for _ in range(count):
        scene = some_scene(rng)
        pool.append((scene, small(spoiled(draw(scene, rng, rng.choice((64, 96, 128, 224))), rng), rng)))
    return pool
