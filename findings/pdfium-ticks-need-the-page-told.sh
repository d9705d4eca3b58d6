#!/bin/sh
# A PDF form's ticked box, asked with PDFium: `FPDFAnnot_IsChecked` says no although the form was opened before the page
# was loaded. Expected: the answer depends on the file. Only after `FORM_OnAfterLoadPage` does PDFium say yes; the values
# of text fields are right without it, so that a reader of forms loses nothing but ticks. pypdfium2's own `document[0]`
# makes the call; whoever loads pages with `FPDF_LoadPage` has to make it.
# Prints the version and both answers; fails if the first one is yes too.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pypdfium2==5.15.2
cd "$folder" && venv/bin/python - <<'PY'
import pypdfium2 as pdfium, pypdfium2.raw as raw

box = "/Type /Annot /Subtype /Widget /Rect [9 9 29 29] /FT /Btn /T (t) /V /Yes /AS /Yes /AP << /N << /Yes 5 0 R /Off 5 0 R >> >>"
objects = [
    "<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [4 0 R] >> >>",
    "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] /Annots [4 0 R] >>",
    f"<< {box} >>",
    "<< /Type /XObject /Subtype /Form /BBox [0 0 20 20] /Length 0 >>\nstream\n\nendstream",
]
data, places = b"%PDF-1.7\n", []
for number, text in enumerate(objects, 1):
    places.append(len(data))
    data += f"{number} 0 obj\n{text}\nendobj\n".encode()
table = "".join(f"{place:010d} 00000 n \n" for place in places)
data += (
    f"xref\n0 6\n0000000000 65535 f \n{table}trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n{len(data)}\n%%EOF\n"
).encode()
document = pdfium.PdfDocument(data)
document.init_forms()
form = document.formenv.raw


def ticked(*, told):
    page = raw.FPDF_LoadPage(document.raw, 0)
    if told:
        raw.FORM_OnAfterLoadPage(page, form)
    annotation = raw.FPDFPage_GetAnnot(page, 0)
    answer = raw.FPDFAnnot_IsChecked(form, annotation)
    raw.FPDFPage_CloseAnnot(annotation)
    if told:
        raw.FORM_OnBeforeClosePage(page, form)
    raw.FPDF_ClosePage(page)
    return bool(answer)


before, after = ticked(told=False), ticked(told=True)
print("pypdfium2", pdfium.PYPDFIUM_INFO, "- ticked:", before, "- after FORM_OnAfterLoadPage:", after)
assert (before, after) == (False, True), "PDFium knows ticks without being told of the page: the call can go"
PY
