"""How a run of text looks: font family, size, weight, slant, pitch and colour."""

import re
from dataclasses import dataclass

# TeX's own names carry no words: cmbx10, SFBX1200, cmtt10, cmssi12, t1xbtt. The others spell it out.
_BOLD = re.compile(
    r"bold|black|heavy|demi|semib|extrab|[-,_](?:b|bd|bi|medi|mediital)$|medi(?:ital)?$|"
    r"^(?:cm|ec|sf|la|ts)(?:b|bx|bxti|bxsl|ssbx|ssbxi|ssdc|xbt|bcsc|xcc)\d|^t1xb",
    re.IGNORECASE,
)
_ITALIC = re.compile(
    r"italic|oblique|slant|[-,_](?:i|it|bi|ri|obl|ital)$|ital$|obli$|"
    r"^(?:cm|ec|sf|la|ts)(?:ti|sl|bxti|bxsl|ssi|ssbxi|sltt|itt|u|si|st|it)\d|^t1x(?:b?i|sl)",
    re.IGNORECASE,
)
_MONO = re.compile(
    r"mono(?!type)|courier|consol|typewriter|menlo|terminal|sourcecode|firacode|anonymous|^hack|lucidatyp|"
    r"^(?:cm|ec|sf|la|ts)(?:sl|i|b|tc)?tt\d|^(?:cm|sf|ec)(?:tcsc|st|it)\d|tt$",
    re.IGNORECASE,
)
_MATH = re.compile(
    r"^(?:cm|lm)?(?:mi|sy|ex|mib|bsy)\d|^lmmath|math|msam|msbm|symbol|^eu[fsr]|^rsfs|^wasy|^cm(?:mi|sy|ex|bsy|mib)\d",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"regular|roman|book|light|medium|^(?:cm|ec|sf)r[m]?\d", re.IGNORECASE)
_SUBSET = re.compile(r"^[A-Z]{6}\+")

_FIXED_PITCH, _ITALIC_FLAG, _FORCE_BOLD = 1, 64, 1 << 18
# Many producers derive the weight from the stem width, so it only decides where the name says nothing at all.
_BOLD_WEIGHT = 650


@dataclass(frozen=True, slots=True)
class Style:
    """The look of a run: `size` in points as shown, `colour` as 0xRRGGBB."""

    font: str
    size: float
    bold: bool = False
    italic: bool = False
    mono: bool = False
    math: bool = False
    colour: int = 0

    @property
    def key(self) -> tuple[float, bool, bool, bool, int]:
        """Return what makes two runs look alike to a reader: size to half a point, weight, slant, pitch, colour."""
        return (round(self.size * 2) / 2, self.bold, self.italic, self.mono, self.colour)


def style_of(name: str, size: float, *, flags: int = 0, weight: int = 0, colour: int = 0) -> Style:
    """Return the style of a PDF font.

    Args:
        name: the font's base name, with or without its subset prefix (`ABCDEF+CMBX10`).
        size: the size as shown on the page, in points.
        flags: the font descriptor's flags (PDF 32000-1, table 123).
        weight: the font's weight, 100 to 900, 0 if unknown.
        colour: fill colour as 0xRRGGBB.
    """
    bare = _SUBSET.sub("", name)
    math = bool(_MATH.search(bare))
    return Style(
        font=bare,
        size=round(size, 2),
        bold=not math and _is_bold(bare, flags, weight),
        italic=not math and (bool(_ITALIC.search(bare)) or bool(flags & _ITALIC_FLAG)),
        mono=not math and (is_mono_name(bare) or bool(flags & _FIXED_PITCH)),
        math=math,
        colour=colour,
    )


def is_mono_name(name: str) -> bool:
    """Whether a font's name says that it has a fixed pitch."""
    return bool(_MONO.search(name))


def _is_bold(name: str, flags: int, weight: int) -> bool:
    if _BOLD.search(name):
        return True
    if _PLAIN.search(name):
        return False
    return bool(flags & _FORCE_BOLD) or (len(name) <= 3 and weight >= _BOLD_WEIGHT)  # noqa: PLR2004 - `F1`, `T12`
