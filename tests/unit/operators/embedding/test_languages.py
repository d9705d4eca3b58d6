"""Languages by script and common words."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastembed.operators.embedding.languages import language_of

FOREIGN = {
    "German": (
        "Die Sitzung des Ausschusses findet am Dienstag statt. Auf der Tagesordnung steht der neue Haushalt "
        "für die Schulbibliothek, über den der Rat noch nicht entschieden hat. Alle Mitglieder werden "
        "gebeten, ihre Unterlagen mit zu bringen und sich bis zum Montag anzumelden."
    ),
    "French": (
        "La réunion du comité aura lieu mardi matin dans la grande salle. À l'ordre du jour figure le nouveau"
        " budget de la bibliothèque scolaire, que le conseil n'a pas encore approuvé. Tous les membres sont "
        "priés d'apporter leurs documents et de s'inscrire avant lundi."
    ),
    "Spanish": (
        "La reunión del comité se celebrará el martes por la mañana en la sala grande. En el orden del día "
        "figura el nuevo presupuesto de la biblioteca escolar, que el consejo todavía no ha aprobado. Se "
        "ruega a todos los miembros que traigan sus documentos y se inscriban antes del lunes."
    ),
    "Italian": (
        "La riunione del comitato si terrà martedì mattina nella sala grande. All'ordine del giorno c'è il "
        "nuovo bilancio della biblioteca scolastica, che il consiglio non ha ancora approvato. Tutti i membri"
        " sono pregati di portare i loro documenti e di iscriversi entro lunedì."
    ),
    "Dutch": (
        "De vergadering van de commissie vindt dinsdagochtend plaats in de grote zaal. Op de agenda staat de "
        "nieuwe begroting voor de schoolbibliotheek, die door de raad nog niet is goedgekeurd. Alle leden "
        "wordt verzocht hun stukken mee te brengen en zich voor maandag aan te melden."
    ),
    "Portuguese": (
        "A reunião do comité realiza-se na terça-feira de manhã na sala grande. Na ordem do dia está o novo "
        "orçamento da biblioteca escolar, que o conselho ainda não aprovou. Pede-se a todos os membros que "
        "tragam os seus documentos e que se inscrevam até segunda-feira."
    ),
    "Swedish": (
        "Utskottets möte äger rum på tisdag morgon i den stora salen. På dagordningen står den nya budgeten "
        "för skolbiblioteket, som rådet ännu inte har godkänt. Alla medlemmar ombeds att ta med sina "
        "handlingar och att anmäla sig före måndag."
    ),
    "Polish": (
        "Posiedzenie komisji odbędzie się we wtorek rano w dużej sali. W porządku obrad jest nowy budżet "
        "biblioteki szkolnej, którego rada jeszcze nie zatwierdziła. Wszyscy członkowie są proszeni o to, aby"
        " przynieśli dokumenty i zapisali się do poniedziałku. To jest bardzo ważne dla nas."
    ),
    "Russian or another language in Cyrillic letters": (
        "Заседание комитета состоится во вторник утром в большом зале. На повестке дня новый бюджет школьной "
        "библиотеки."
    ),
    "Chinese": ("委员会会议将于星期二上午在大厅举行。议程上有学校图书馆的新预算，理事会尚未批准。"),
    "Arabic or another language in Arabic letters": (
        "سيعقد اجتماع اللجنة صباح يوم الثلاثاء في القاعة الكبرى. وعلى جدول الأعمال الميزانية الجديدة لمكتبة المدرسة."
    ),
    "Japanese": ("委員会の会議は火曜日の朝に大ホールで開かれます。議題は学校図書館の新しい予算です。"),
    "Korean": ("위원회 회의는 화요일 아침에 큰 강당에서 열립니다. 의제는 학교 도서관의 새 예산입니다."),
}
ENGLISH = {
    "en": (
        "The committee will meet on Tuesday morning in the large hall. On the agenda is the new budget for "
        "the school library, which the council has not yet approved. All members are asked to bring their "
        "documents and to register by Monday."
    ),
    "en+de quote": (
        "The German minister said that the law was passed. 'Die Sitzung ist beendet und der Rat hat "
        "entschieden', she added. It is not known when the new rules will apply to the schools, but they are "
        "expected to be in force by the end of the year."
    ),
    "en tech": (
        "Install the package with pip and run the server. Set the port in config.yaml, then open "
        "http://localhost:8000 in a browser. For GPU support, install the driver first. Logs are written to "
        "/var/log and rotated daily."
    ),
    "en greek math": (
        "Let α be the angle and β the length. The sum of α, β, γ is π. It is easy to see that the area of the"
        " triangle is ½ab sin γ and that this follows from the law of cosines."
    ),
}
NO_PROSE = {
    "code": "import os\nfor order in orders: print(order, que, con, per, die)\n" * 10,
    "fenced code": "```python\ndef die(und, der):\n    return der in und\n```\n" * 9,
    "table": "| Name | La | De |\n" + "| Société de Paris | 4 | 2 |\n" * 20,
    "names": "Jean de la Fontaine, Leonardo da Vinci, Vincent van Gogh, Ludwig van Beethoven, El Greco, " * 4,
    "numbers": "12.5 13.7 2024-11-30 " * 50,
    "short": "Die Katze.",
    "nothing": "",
}


@pytest.mark.parametrize("language", FOREIGN)
def test_a_text_s_language_is_told(language: str) -> None:
    assert language_of(FOREIGN[language]) == language


@pytest.mark.parametrize("name", ENGLISH)
def test_english_is_english_whatever_it_quotes(name: str) -> None:
    assert language_of(ENGLISH[name]) in ("English", None)


@pytest.mark.parametrize("name", NO_PROSE)
def test_code_tables_names_and_numbers_are_of_no_language(name: str) -> None:
    assert language_of(NO_PROSE[name]) in ("English", None)


def test_this_project_s_own_pages_and_code_are_english() -> None:
    root = Path(__file__).parents[4]
    files = [*root.glob("*.md"), *root.glob("docs/*.md"), *root.glob("pipeline/*.py"), root / "pyproject.toml"]
    assert {language_of(file.read_text(encoding="utf-8")) for file in files} <= {"English", None}
