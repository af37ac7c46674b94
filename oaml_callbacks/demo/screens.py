"""Drawn application screens with one named button to click, and the training and evaluation samples made from them.

Nothing is downloaded: Pillow draws everything. A screen has several buttons and the goal names one of them, so a model
must read the goal *and* find the button. As in a design system, a kind of button has its own label and its own colour;
the colour survives shrinking to a few hundred pixels, which is all that the demo's tiny models see.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image, ImageDraw, ImageFont

SIZE = (1280, 720)
"""Width and height of every screen, in pixels."""
SYSTEM = "You click on screens."
"""The system turn of every sample: short, because a tiny model on a CPU pays for each token."""
COLOURS = {
    "Save": ((37, 99, 235), (255, 255, 255)),
    "Delete": ((220, 38, 38), (255, 255, 255)),
    "Approve": ((22, 163, 74), (255, 255, 255)),
    "Export": ((250, 178, 20), (60, 40, 0)),
    "Archive": ((168, 40, 190), (255, 255, 255)),
}
"""The kinds of button that goals name: label -> (fill, text), RGB."""
NEUTRAL = {
    "Cancel": "Cancel the changes",
    "Help": "Help on this page",
    "Close": "Close this window",
    "Back": "Back to the list",
}
"""The grey buttons that stand beside them and are never the goal: label -> what a settings page says of it."""

Box = tuple[int, int, int, int]
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Control:
    """A button on a screen: its label, its box `(x1, y1, x2, y2)` in pixels, and whether goals may name it."""

    name: str
    box: Box
    named: bool


@dataclass(frozen=True)
class Screen:
    """A drawn screen: an RGB picture of `SIZE`, its buttons, the one to click, and the kind of layout."""

    image: Image.Image
    controls: tuple[Control, ...]
    target: Control
    layout: str
    theme: str

    @property
    def goal(self) -> str:
        """What the user asks for."""
        return f"Click the {self.target.name} button."


@dataclass(frozen=True)
class _Theme:
    name: str
    desktop: tuple[Colour, Colour]
    window: Colour
    bar: Colour
    panel: Colour
    line: Colour
    text: Colour
    muted: Colour
    neutral: Colour


_THEMES = (
    _Theme("light", ((176, 196, 214), (120, 146, 172)), (250, 250, 251), (228, 231, 236), (241, 243, 246),
           (206, 211, 218), (31, 36, 44), (108, 116, 128), (221, 225, 231)),
    _Theme("sand", ((214, 204, 188), (166, 154, 136)), (252, 250, 246), (234, 228, 217), (245, 241, 233),
           (214, 206, 192), (47, 41, 32), (122, 113, 99), (226, 220, 208)),
    _Theme("slate", ((96, 108, 124), (58, 68, 82)), (244, 246, 248), (71, 82, 98), (232, 236, 241),
           (200, 207, 216), (30, 38, 50), (102, 112, 126), (214, 220, 228)),
    _Theme("dark", ((52, 58, 66), (28, 32, 38)), (38, 42, 49), (28, 31, 37), (48, 53, 61),
           (74, 80, 90), (232, 235, 240), (156, 163, 174), (82, 89, 100)),
)  # fmt: skip

_PEOPLE = ("Ada Byron", "Li Wei", "Noor Khan", "Eva Novak", "Sam Okoye", "Ines Costa", "Max Weber", "Yuki Sato")
_FILES = ("Invoice 2041", "Budget draft", "Travel report", "Contract B", "Site photos", "Meeting notes", "Order 5518")
_FIELDS = ("Name", "E-mail", "Company", "Reference", "Country", "Phone", "Comment")
_STATES = ("Open", "In review", "Waiting", "Done", "Overdue")
_APPS = ("Ledger", "Contacts", "Orders", "Documents", "Helpdesk", "Inventory")
_MENU = ("File", "Edit", "View", "Tools", "Window")


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


@lru_cache(maxsize=8)
def _desktop(top: Colour, bottom: Colour) -> Image.Image:
    column = Image.linear_gradient("L").resize((1, SIZE[1])).resize(SIZE)
    return Image.composite(Image.new("RGB", SIZE, bottom), Image.new("RGB", SIZE, top), column)


class _Painter:
    """Draws one screen: text, boxes and buttons in one theme; remembers the buttons."""

    def __init__(self, theme: _Theme, rng: Random, buttons: list[tuple[str, bool]], button_size: tuple[int, int]):
        self.theme, self.rng, self.buttons, self.button_size = theme, rng, buttons, button_size
        self.image = _desktop(*theme.desktop).copy()
        self.draw = ImageDraw.Draw(self.image)
        self.controls: list[Control] = []

    def text(
        self, x: float, y: float, text: str, size: int, *, fill: Colour | None = None, anchor: str = "lm"
    ) -> None:
        self.draw.text((x, y), text, fill or self.theme.text, _font(size), anchor)

    def rect(
        self, box: tuple[float, float, float, float], fill: Colour, line: Colour | None = None, r: int = 6
    ) -> None:
        self.draw.rounded_rectangle(box, r, fill, line)

    def lines(self, x: float, y: float, widths: tuple[int, ...], step: int = 20) -> None:
        """Running text, as grey bars."""
        for i, width in enumerate(widths):
            self.rect((x, y + i * step, x + width, y + i * step + 7), self.theme.line, r=3)

    def button(self, x: float, y: float) -> None:
        """The next of the screen's buttons, its top left corner at (x, y)."""
        name, named = self.buttons[len(self.controls)]
        width, height = self.button_size
        box = (round(x), round(y), round(x) + width, round(y) + height)
        fill, text = COLOURS[name] if named else (self.theme.neutral, self.theme.text)
        self.rect(box, fill, None if named else self.theme.line, r=8)
        self.text((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, name, 28, fill=text, anchor="mm")
        self.controls.append(Control(name, box, named))

    def button_row(self, x1: int, x2: int, y: int) -> None:
        """All buttons side by side, at the left, in the middle or at the right of x1..x2."""
        gap, width = 16, self.button_size[0]
        count = len(self.buttons)
        x = x1 + round((x2 - x1 - count * (width + gap) + gap) * self.rng.choice((0, 0.5, 1)))
        for i in range(count):
            self.button(x + i * (width + gap), y)

    def window(self, box: Box, title: str, *, menu: bool) -> Box:
        """Title bar, menu bar, frame. Returns the box left for the content."""
        theme, (x1, y1, x2, y2) = self.theme, box
        shadow = tuple(v * 3 // 4 for v in theme.desktop[1])
        self.rect((x1 + 6, y1 + 8, x2 + 6, y2 + 8), (shadow[0], shadow[1], shadow[2]), r=10)
        self.rect(box, theme.window, theme.line, r=10)
        self.draw.rounded_rectangle((x1, y1, x2, y1 + 42), 10, theme.bar, corners=(True, True, False, False))
        ink = theme.text if sum(theme.bar) > 400 or theme.name == "dark" else (240, 243, 247)
        self.text(x1 + 18, y1 + 21, title, 20, fill=ink)
        for i, icon in enumerate(("close", "zoom", "hide")):
            x, y = x2 - 26 - i * 38, y1 + 21
            if icon == "close":
                self.draw.line((x - 6, y - 6, x + 6, y + 6), ink, 2)
                self.draw.line((x - 6, y + 6, x + 6, y - 6), ink, 2)
            elif icon == "zoom":
                self.draw.rectangle((x - 6, y - 6, x + 6, y + 6), None, ink, 2)
            else:
                self.draw.line((x - 6, y + 5, x + 6, y + 5), ink, 2)
        top = y1 + 42
        if menu:
            self.draw.rectangle((x1 + 1, top, x2 - 1, top + 34), theme.panel)
            for i, word in enumerate(_MENU):
                self.text(x1 + 20 + i * 84, top + 17, word, 18)
            top += 34
            self.draw.line((x1 + 1, top, x2 - 1, top), theme.line)
        return x1 + 24, top + 22, x2 - 24, y2 - 22

    def taskbar(self) -> None:
        theme, top = self.theme, SIZE[1] - 40
        self.draw.rectangle((0, top, *SIZE), theme.bar)
        ink = theme.muted if sum(theme.bar) > 400 else (190, 197, 207)
        for i in range(6):
            self.rect((18 + i * 46, top + 8, 42 + i * 46, top + 32), ink if i == 0 else theme.line, r=5)
        self.text(
            SIZE[0] - 20,
            top + 20,
            f"{self.rng.randint(8, 18):02}:{self.rng.randint(0, 59):02}",
            18,
            fill=ink,
            anchor="rm",
        )


def _place(rng: Random, width: int, height: int) -> Box:
    """A window of this size anywhere between the screen's edge and the task bar."""
    x, y = rng.randint(16, SIZE[0] - width - 22), rng.randint(14, SIZE[1] - 40 - height - 12)
    return x, y, x + width, y + height


def _dialog(p: _Painter) -> None:
    """A small window over the desktop: a question, details, and the buttons in two rows below."""
    (width, height), rng = p.button_size, p.rng
    columns = (len(p.buttons) + 1) // 2
    across = columns * (width + 16) - 16
    ink = p.theme.text if p.theme.name == "sand" else (245, 246, 248)
    for i in range(4):  # desktop icons, behind the window
        p.rect((34, 30 + i * 120, 90, 86 + i * 120), p.theme.panel, p.theme.line, r=10)
        p.text(62, 58 + i * 120, _APPS[i][0], 32, fill=p.theme.muted, anchor="mm")
        p.text(62, 104 + i * 120, _APPS[i], 16, fill=ink, anchor="mm")
    box = p.window(_place(rng, max(560, across + 60), 250 + 2 * height), rng.choice(_APPS), menu=False)
    p.text(box[0] + 74, box[1] + 20, f"What about {rng.choice(_FILES)}?", 26)
    p.draw.ellipse((box[0], box[1], box[0] + 56, box[1] + 56), p.theme.neutral)
    p.text(box[0] + 28, box[1] + 28, "?", 34, anchor="mm")
    changed = f"Changed by {rng.choice(_PEOPLE)}, {rng.choice(_STATES).lower()}"
    p.text(box[0] + 74, box[1] + 54, changed, 18, fill=p.theme.muted)
    p.lines(box[0], box[1] + 88, (430, 380))
    left = rng.choice((box[0], box[2] - across))
    for i in range(len(p.buttons)):
        row, column = divmod(i, columns)
        p.button(left + column * (width + 16), box[3] - (2 - row) * (height + 14) + 14)


def _form(p: _Painter) -> None:
    """Labelled fields, and the buttons in a column beside them."""
    rng, (width, height) = p.rng, p.button_size
    box = p.window(
        _place(rng, rng.randint(860, 1220), rng.randint(590, 640)), f"{rng.choice(_APPS)} - new entry", menu=True
    )
    on_left = rng.random() < 0.5
    x1, x2 = (box[0] + width + 36, box[2]) if on_left else (box[0], box[2] - width - 36)
    for i, label in enumerate(rng.sample(_FIELDS, 5)):
        y = box[1] + i * 92
        p.text(x1, y + 12, label, 20, fill=p.theme.muted)
        p.rect((x1, y + 28, x2, y + 74), p.theme.panel, p.theme.line)
        if rng.random() < 0.6:
            p.text(x1 + 14, y + 51, rng.choice(_PEOPLE), 20)
    room = (box[3] - box[1] - len(p.buttons) * height) // max(1, len(p.buttons) - 1)
    gap = rng.randint(10, max(10, min(46, room)))
    top = box[1] + rng.randint(0, max(0, box[3] - box[1] - len(p.buttons) * (height + gap) + gap))
    for i in range(len(p.buttons)):
        p.button(box[0] if on_left else box[2] - width, top + i * (height + gap))


def _table(p: _Painter) -> None:
    """A table, with the buttons as its tool bar above or below."""
    rng, (width, height) = p.rng, p.button_size
    across = len(p.buttons) * (width + 16) + 40
    box = p.window(
        _place(rng, max(across, rng.randint(940, 1240)), rng.randint(520, 640)), rng.choice(_APPS), menu=True
    )
    above = rng.random() < 0.5
    p.button_row(box[0], box[2], box[1] if above else box[3] - height)
    top, bottom = (box[1] + height + 20, box[3]) if above else (box[1], box[3] - height - 20)
    p.rect((box[0], top, box[2], bottom), p.theme.window, p.theme.line)
    columns = [box[0] + round((box[2] - box[0]) * share) for share in (0.02, 0.36, 0.64, 0.84)]
    p.draw.rectangle((box[0] + 1, top + 1, box[2] - 1, top + 38), p.theme.panel)
    for x, head in zip(columns, ("Document", "Owner", "State", "Amount"), strict=True):
        p.text(x, top + 20, head, 19, fill=p.theme.muted)
    for row, y in enumerate(range(top + 40, bottom - 40, 42)):
        cells = (rng.choice(_FILES), rng.choice(_PEOPLE), rng.choice(_STATES), f"{rng.randint(20, 9800)}.00")
        if row:
            p.draw.line((box[0] + 1, y, box[2] - 1, y), p.theme.line)
        for x, cell in zip(columns, cells, strict=True):
            p.text(x, y + 21, cell, 19)


def _settings(p: _Painter) -> None:
    """A side bar with pages, and rows that each explain one button."""
    rng, (width, height) = p.rng, p.button_size
    step = min(96, height + rng.randint(14, 30))
    tall = 42 + 34 + 44 + 52 + len(p.buttons) * step
    box = p.window(_place(rng, rng.randint(900, 1220), max(480, tall)), f"{rng.choice(_APPS)} - settings", menu=True)
    on_left, side = rng.random() < 0.5, 220
    sx = box[0] - 23 if on_left else box[2] + 23 - side
    p.draw.rectangle((sx, box[1] - 21, sx + side, box[3] + 10), p.theme.panel)
    for i, page in enumerate(("General", "Account", "Sharing", "Storage", "Privacy", "About")):
        if i == 2:
            p.rect((sx + 10, box[1] + i * 48 - 4, sx + side - 10, box[1] + i * 48 + 36), p.theme.neutral)
        p.text(sx + 26, box[1] + i * 48 + 16, page, 20)
    x1, x2 = (sx + side + 26, box[2]) if on_left else (box[0], sx - 26)
    p.text(x1, box[1] + 14, "Sharing", 28)
    buttons_first = rng.random() < 0.4
    for i, (name, _) in enumerate(p.buttons):
        y = box[1] + 52 + i * step
        tx = x1 + width + 24 if buttons_first else x1
        p.button(x1 if buttons_first else x2 - width, y)
        p.text(tx, y + height / 2 - 14, NEUTRAL.get(name, f"{name} the selection"), 20)
        p.lines(tx, y + height / 2 + 8, (rng.randint(160, 250),))


def _cards(p: _Painter) -> None:
    """Tiles in a grid, each with its own button."""
    rng, (width, height) = p.rng, p.button_size
    box = p.window(
        _place(rng, rng.randint(1000, 1240), rng.randint(580, 640)), f"{rng.choice(_APPS)} - overview", menu=True
    )
    cell_w, cell_h = (box[2] - box[0] - 32) // 3, (box[3] - box[1] - 16) // 2
    cells = rng.sample(range(6), len(p.buttons))
    for cell in range(6):
        x, y = box[0] + cell % 3 * (cell_w + 16), box[1] + cell // 3 * (cell_h + 16)
        p.rect((x, y, x + cell_w, y + cell_h), p.theme.panel, p.theme.line, r=10)
        p.text(x + 18, y + 26, rng.choice(_FILES), 22)
        p.text(x + 18, y + 54, f"{rng.choice(_PEOPLE)}, {rng.choice(_STATES).lower()}", 17, fill=p.theme.muted)
        p.lines(x + 18, y + 78, (cell_w - 60, cell_w - 110))
    for cell in cells:
        x, y = box[0] + cell % 3 * (cell_w + 16), box[1] + cell // 3 * (cell_h + 16)
        p.button(x + rng.randint(16, cell_w - width - 16), y + rng.randint(118, max(118, cell_h - height - 14)))


_LAYOUTS: dict[str, Callable[[_Painter], None]] = {
    "dialog": _dialog,
    "form": _form,
    "table": _table,
    "settings": _settings,
    "cards": _cards,
}


def draw_screen(rng: Random, *, named: int | None = None) -> Screen:
    """Draw one screen; the same state of `rng` gives the same screen.

    Four or five buttons of 160-216 x 62-84 pixels, in one of five layouts and four themes, in a window that is placed
    at random. `named` of them, 1 to 4, are of the kinds in `COLOURS` and the others grey; None makes it 3 or 4.
    """
    layout = rng.choice(sorted(_LAYOUTS))
    theme = rng.choice(_THEMES)
    named = named or rng.randint(3, 4)
    buttons = [(name, True) for name in rng.sample(sorted(COLOURS), named)]
    buttons += [(name, False) for name in rng.sample(list(NEUTRAL), max(1, rng.randint(4, 5) - named))]
    rng.shuffle(buttons)
    painter = _Painter(theme, rng, buttons, (rng.randint(160, 216), rng.randint(62, 84)))
    painter.taskbar()
    _LAYOUTS[layout](painter)
    target = rng.choice([control for control in painter.controls if control.named])
    return Screen(painter.image, tuple(painter.controls), target, layout, theme.name)


def sample(screen: Screen, image: str | Image.Image, *, target: Control | None = None) -> dict[str, Any]:
    """The screen as a row of openadapt-ml's SFT form, with the box: what training and evaluation read.

    Args:
        screen: The screen.
        image: What stands in `images`: a path, or the picture itself.
        target: The button to click; None takes the screen's own.

    Returns:
        `images`, `messages` (system, user, assistant; the answer is the box's centre in shares of the screen, two
        decimals), `bbox` (x1, y1, x2, y2 in shares of the screen, 0-1) and `group` (the layout).
    """
    target = target or screen.target
    x1, y1, x2, y2 = (edge / side for edge, side in zip(target.box, SIZE * 2, strict=True))
    return {
        "images": [image],
        "messages": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": f"Goal: Click the {target.name} button."},
            {"role": "assistant", "content": answer(target.name, (x1 + x2) / 2, (y1 + y2) / 2)},
        ],
        "bbox": [round(edge, 5) for edge in (x1, y1, x2, y2)],
        "group": screen.layout,
    }


def answer(name: str, x: float, y: float) -> str:
    """openadapt-ml's form of an answer: a thought, and a click at (x, y) in shares of the screen."""
    return f"Thought: Click the {name} button.\nAction: CLICK(x={x:.2f}, y={y:.2f})"


def write_samples(
    folder: Path,
    *,
    name: str,
    count: int,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Draw `count` screens into `folder/screens/` and their samples into `folder/<name>.jsonl`.

    Args:
        folder: Made if it is not there.
        name: Of the set: `train` gives `train.jsonl` and `screens/train-0000.png`.
        count: Samples, 1 or more.
        seed: Of the screens. The same seed gives the same screens, so training and evaluation need different ones.
        progress: Called with the number of samples done, after each.

    Returns:
        The JSONL file: a `sample` a line, image paths relative to `folder`.

    Raises:
        ValueError: `count` is below 1.
        OSError: `folder` can't be written.
    """
    if count < 1:
        raise ValueError(f"count={count}: expected at least one sample.")
    (folder / "screens").mkdir(parents=True, exist_ok=True)
    rng = Random(seed)
    rows = []
    for i in range(count):
        screen = draw_screen(rng)
        image = f"screens/{name}-{i:04}.png"
        # Level 1 writes flat graphics several times faster than the default and little larger.
        screen.image.save(folder / image, compress_level=1)
        rows.append(json.dumps(sample(screen, image)))
        if progress is not None:
            progress(i + 1)
    path = folder / f"{name}.jsonl"
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path
