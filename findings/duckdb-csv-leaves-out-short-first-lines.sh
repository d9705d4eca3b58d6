#!/bin/sh
# DuckDB's read_csv takes first lines with fewer fields than later ones for a preface and leaves them out, unsaid:
# of a file with the header `a,b`, whose last line has a third field, one row of four is left. `skip = 0` keeps the lines.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q duckdb==2.0.0
printf 'a,b\n1,2\n3\n4,5,6\n' > "$folder/table.csv"
"$folder/venv/bin/python" - "$folder/table.csv" <<'PYTHON'
import sys

import duckdb

print("duckdb", duckdb.__version__)
found = duckdb.execute("SELECT * FROM read_csv(?)", [sys.argv[1]]).fetchall()
print("by default:", found)
kept = duckdb.execute("SELECT * FROM read_csv(?, skip = 0)", [sys.argv[1]]).fetchall()
print("with skip = 0:", kept)
assert found == [(4, 5, 6)], found
assert len(kept) == 3, kept
PYTHON
