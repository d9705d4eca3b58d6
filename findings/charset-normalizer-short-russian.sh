#!/bin/sh
# charset-normalizer takes a short Russian text in KOI8-R, a line of a CSV file, for a Japanese encoding. Expected: KOI8-R
# (chardet 7 finds it at the same length), or no answer. Long texts are found by both.
# Prints the versions and both answers; fails if charset-normalizer decodes the text right.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet charset-normalizer==3.5.2 chardet==7.7.0
"$folder/venv/bin/python" - <<'PY'
import chardet, charset_normalizer

text = "Привет, как дела сегодня"
content = text.encode("koi8-r")
best = charset_normalizer.from_bytes(content).best()
other = chardet.detect(content)["encoding"]
print("charset-normalizer", charset_normalizer.__version__, "says", best and best.encoding, repr(best and str(best)))
print("chardet", chardet.__version__, "says", other, repr(content.decode(other)))
assert content.decode(other) == text
assert best is None or str(best) != text
PY
