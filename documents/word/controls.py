"""What wraps text, taken off, so that every reader of the plain structure finds it.

Content controls of blocks, rows, cells and words (ECMA-376, 17.5.2), custom XML and smart tags, simple fields, the
branches of `mc:AlternateContent`, phonetic guides; ticks, choices and symbols become characters.
"""

from __future__ import annotations

from typing import Any, Final

from fastembed.documents.ooxml import local, unwrap, whole
from fastembed.documents.word.markup import find, is_on, text_node, text_of, value, w
from fastembed.documents.word.symbols import character, readable

_WORD_2010: Final = "{http://schemas.microsoft.com/office/word/2010/wordml}"
_COMPATIBILITY: Final = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_SHOWS: Final = frozenset({"t", "blip", "imagedata", "chart", "relIds", "oMath"})
_TICKS: Final = {True: "[x]", False: "[ ]"}


def take_off(root: Any) -> None:
    """Put what wrappers hold in their places."""
    for choice in list(root.iter(f"{_COMPATIBILITY}AlternateContent")):
        branches = sorted(choice, key=lambda branch: not _shows(branch))  # the first that shows something
        unwrap(choice, branches[0] if branches else ())
    for field in list(root.iter(w("r"))):
        _form_field(field)
    for control in list(root.iter(w("sdt"))):
        _content_control(control)
    for element in list(root.iter(w("customXml"), w("smartTag"), w("fldSimple"))):
        for properties in element.findall(w("customXmlPr")) + element.findall(w("smartTagPr")):
            element.remove(properties)
        unwrap(element)
    for guide in list(root.iter(w("ruby"))):
        run = guide.getparent()
        run.replace(guide, text_node(text_of(find(guide, "rubyBase"))))
    for run in root.iter(w("r")):
        _symbols(run)


def _shows(branch: Any) -> bool:
    return any(local(node) in _SHOWS for node in branch.iter() if isinstance(node.tag, str))


def _content_control(control: Any) -> None:
    """Replace a control by what it holds; a prompt to fill it in ("Click here") is no text of the document."""
    content = find(control, "sdtContent")
    tick = control.find(f"{w('sdtPr')}/{_WORD_2010}checkbox")
    if content is None:
        control.getparent().remove(control)
        return
    texts = list(content.iter(w("t"), w("sym")))
    if tick is not None and texts:
        checked = tick.find(f"{_WORD_2010}checked")
        on = checked is not None and checked.get(f"{_WORD_2010}val", "1") in ("1", "true", "on")
        texts[0].getparent().replace(texts[0], text_node(_TICKS[on]))
    elif is_on(control, "sdtPr/showingPlcHdr"):
        for text in texts:
            text.getparent().remove(text)
    unwrap(control, content)


def _form_field(run: Any) -> None:
    """Write out the tick or the choice of a form field of the old kind (17.16.5), which Word keeps beside the text."""
    data = find(run, "fldChar/ffData")
    if data is None:
        return
    box, choices = find(data, "checkBox"), find(data, "ddList")
    if box is not None:
        checked = is_on(box, "checked")
        run.append(text_node(_TICKS[bool(is_on(box, "default") if checked is None else checked)]))
    elif choices is not None:
        entries = [entry.get(w("val"), "") for entry in choices.findall(w("listEntry"))]
        chosen = whole(value(choices, "result") or value(choices, "default"))
        run.append(text_node(entries[chosen] if 0 <= chosen < len(entries) else ""))


def _symbols(run: Any) -> None:
    fonts = find(run, "rPr/rFonts")
    font = "" if fonts is None else fonts.get(w("ascii")) or fonts.get(w("hAnsi")) or ""
    for node in list(run):
        if node.tag == w("sym"):
            code = max(0, whole(node.get(w("char")), 0x20, 16))
            run.replace(node, text_node(character(node.get(w("font"), font), code)))
        elif node.tag == w("t") and node.text:
            node.text = readable(node.text, font)
