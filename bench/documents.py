"""Measures how well and how fast PDFs become documents: `python bench/documents.py FOLDER`.

For each PDF of the folder (subfolders included), in a process of its own:

* pages a CPU-second and the process's peak memory;
* headings against the file's outline, once with the outline used and once with it hidden from the reader: a heading
  counts as found if its text equals the entry's, case, punctuation and leading number aside, at most a page away;
* word recall: which share of poppler's words (with repeats) the Markdown has, so that what is taken for a running head
  or left out with a figure counts as lost;
* reading order: of the three-word sequences that occur once in both texts, the share on the longest increasing chain.

Files without an outline get no heading figures; without `pdftotext` (poppler-utils) there are no text figures.
"""

import argparse
import bisect
import json
import re
import resource
import shutil
import subprocess
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

_WORD = re.compile(r"\w+")
_NUMBER = re.compile(
    r"^\s*(?:(?:chapter|section|appendix|part)\s+)?(?:[A-Z]|[IVX]{1,5}|\d{1,3})(?:\.\d{1,3})*[.:)]?\s+(?=\S)",
    re.IGNORECASE,
)
# Poppler writes ligatures as such, and the bare codes of TeX files without character names (T1) as control codes.
_LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl"}
    | {"\x1b": "ff", "\x1c": "fi", "\x1d": "fl", "\x1e": "ffi", "\x1f": "ffl"}
)
_BROKEN = re.compile(r"(?<=[^\W\d_])[-\u00ad‐]\n(?=[a-zà-ÿ])")


def main() -> int:
    """Print a line for each PDF and the means."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="a folder with PDFs, or one PDF")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds that one PDF may take (default 300)")
    parser.add_argument("--show", action="store_true", help="list the headings missed and the false ones")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(_measure(options.one)))
        return 0
    files = [options.folder] if options.folder.is_file() else sorted(options.folder.rglob("*.pdf"))
    if not files:
        print(f"no PDF found in {options.folder}", file=sys.stderr)
        return 2
    if shutil.which("pdftotext") is None:
        print("pdftotext not found (install poppler-utils): no word recall, no reading order", file=sys.stderr)
    print(
        f"{'file':34} {'pages':>5} {'p/cpu-s':>7} {'MB':>5} {'outline':>7} | {'P':>5} {'R':>5} {'F1 used':>7} | "
        f"{'P':>5} {'R':>5} {'F1 hidden':>9} | {'recall':>6} {'order':>6}"
    )
    results = [_in_process(file, options) for file in files]
    _print_means([r for r in results if "error" not in r])
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1))
    return 0


def _in_process(file: Path, options: argparse.Namespace) -> dict[str, Any]:
    name = file.name[:34]
    command = [sys.executable, __file__, str(options.folder), "--one", str(file)]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=options.timeout)
    except subprocess.TimeoutExpired:
        print(f"{name:34} no result within {options.timeout} s")
        return {"file": str(file), "error": f"no result within {options.timeout} s"}
    if run.returncode != 0:
        error = run.stderr.strip().splitlines()[-1] if run.stderr.strip() else f"exit status {run.returncode}"
        print(f"{name:34} {error[:110]}")
        return {"file": str(file), "error": error}
    result: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    _print_line(name, result)
    if options.show:
        for mode in ("used", "hidden"):
            for kind in ("missed", "false"):
                for text in result.get(mode, {}).get(kind, []):
                    print(f"    {mode:6} {kind:6} {text}")
    return result


def _measure(file: Path) -> dict[str, Any]:
    import pypdfium2

    from fastembed.documents.pdf.document import read_pdf

    started = time.process_time()
    document = read_pdf(file)
    seconds = time.process_time() - started
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    outline = _outline(pypdfium2.PdfDocument(file))
    result: dict[str, Any] = {
        "file": str(file),
        "pages": len(document.pages),
        "pages_per_cpu_s": len(document.pages) / max(seconds, 1e-6),
        "peak_mb": peak_mb,
        "outline": len(outline),
    }
    if outline:
        result["used"] = _headings(document, outline)
        result["hidden"] = _headings(read_pdf(file, use_outline=False), outline)
    reference = _poppler(file)
    if reference:
        own = _words(_text(document))
        result["recall"] = _recall(own, reference)
        result["order"] = _order(own, reference)
    return result


def _outline(document: Any) -> list[tuple[str, int]]:
    entries = []
    for item in document.get_toc(max_depth=12):
        target = item.get_dest()
        index = target.get_index() if target else None
        entries.append((item.get_title(), -1 if index is None else index + 1))
    return [(title, page) for title, page in entries if _folded(title)]


def _headings(document: Any, outline: Sequence[tuple[str, int]]) -> dict[str, Any]:
    from docling_core.types.doc import DocItemLabel

    left = [(title, page) for title, page in outline]
    false, found = [], 0
    for item in document.texts:
        if item.label not in {DocItemLabel.SECTION_HEADER, DocItemLabel.TITLE}:
            continue
        page = item.prov[0].page_no
        spelled = {_folded(item.text), _folded(_NUMBER.sub("", item.text))}
        match = next(
            (
                entry
                for entry in left
                if spelled & {_folded(entry[0]), _folded(_NUMBER.sub("", entry[0]))}
                and (entry[1] < 0 or abs(entry[1] - page) <= 1)
            ),
            None,
        )
        if match is not None:
            left.remove(match)
            found += 1
        elif item.label == DocItemLabel.SECTION_HEADER:
            false.append(f"p{page} {item.text[:90]}")
    precision = found / max(1, found + len(false))
    recall = found / len(outline)
    f1 = 2 * precision * recall / max(1e-9, precision + recall)
    missed = [f"p{page} {title[:90]}" for title, page in left]
    return {"precision": precision, "recall": recall, "f1": f1, "missed": missed, "false": false}


def _folded(title: str) -> str:
    return "".join(_WORD.findall(title.casefold())).replace("_", "")


def _poppler(file: Path) -> list[str]:
    if shutil.which("pdftotext") is None:
        return []
    run = subprocess.run(["pdftotext", str(file), "-"], capture_output=True, check=False)
    text = run.stdout.decode("utf-8", "replace").translate(_LIGATURES)
    return _words(_BROKEN.sub("", text))


def _text(document: Any) -> str:
    from fastembed.documents.blocks import markdown, pieces_of

    return markdown(pieces_of(document))


def _words(text: str) -> list[str]:
    # Accents that a file draws apart are combining marks to poppler, and no parts of words.
    return _WORD.findall(unicodedata.normalize("NFC", text).casefold())


def _recall(own: Sequence[str], reference: Sequence[str]) -> float:
    have, want = Counter(own), Counter(reference)
    return sum(min(n, have[w]) for w, n in want.items()) / max(1, len(reference))


def _order(own: Sequence[str], reference: Sequence[str]) -> float:
    places, positions = _once(own), _once(reference)
    sequence = [places[gram] for gram in sorted(positions, key=positions.__getitem__) if gram in places]
    return _longest_rise(sequence) / len(sequence) if sequence else 1.0


def _once(words: Sequence[str]) -> dict[tuple[str, ...], int]:
    grams = list(zip(words, words[1:], words[2:], strict=False))
    count = Counter(grams)
    return {gram: i for i, gram in enumerate(grams) if count[gram] == 1}


def _longest_rise(numbers: Iterable[int]) -> int:
    tails: list[int] = []
    for n in numbers:
        k = bisect.bisect_left(tails, n)
        tails[k : k + 1] = [n]
    return len(tails)


def _print_line(name: str, r: dict[str, Any]) -> None:
    used, hidden = r.get("used"), r.get("hidden")
    columns = [
        f"{name:34} {r['pages']:5} {r['pages_per_cpu_s']:7.1f} {r['peak_mb']:5.0f} {r['outline']:7} |",
        f"{used['precision']:5.2f} {used['recall']:5.2f} {used['f1']:7.3f} |" if used else f"{'':5} {'':5} {'-':>7} |",
        f"{hidden['precision']:5.2f} {hidden['recall']:5.2f} {hidden['f1']:9.3f} |"
        if hidden
        else f"{'':5} {'':5} {'-':>9} |",
        f"{r['recall']:6.3f} {r['order']:6.3f}" if "recall" in r else f"{'-':>6} {'-':>6}",
    ]
    print(" ".join(columns), flush=True)


def _print_means(results: Sequence[dict[str, Any]]) -> None:
    def mean(values: Iterable[float]) -> str:
        numbers = list(values)
        return f"{sum(numbers) / len(numbers):.3f}" if numbers else "-"

    pages = sum(r["pages"] for r in results)
    seconds = sum(r["pages"] / r["pages_per_cpu_s"] for r in results)
    print(f"\n{len(results)} files, {pages} pages, {pages / max(seconds, 1e-6):.1f} pages a CPU-second")
    print(f"peak memory: {max((r['peak_mb'] for r in results), default=0):.0f} MB at most")
    for mode in ("used", "hidden"):
        rows = [r[mode] for r in results if mode in r]
        values = "  ".join(f"{key} {mean(row[key] for row in rows)}" for key in ("precision", "recall", "f1"))
        print(f"headings, outline {mode} (mean of {len(rows)} files): {values}")
    print(f"word recall {mean(r['recall'] for r in results if 'recall' in r)}", end="  ")
    print(f"reading order {mean(r['order'] for r in results if 'order' in r)}")


if __name__ == "__main__":
    sys.exit(main())
