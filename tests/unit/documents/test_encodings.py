import pytest

from fastembed.documents.encodings import decode
from fastembed.documents.formats import is_text


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Preis: 5 € für „Größe“ und Maße"),
        ("cp1252", "café"),
        ("cp1251", "Имя;Город\nИван;Москва"),
        ("koi8-r", "Привет, как дела сегодня"),
        ("iso8859-2", "Zażółć gęślą jaźń, Łódź"),
        ("cp1250", "Příliš žluťoučký kůň"),
        ("cp1253", "Καλημέρα κόσμε"),
        ("cp1255", "שלום עולם, מה שלומך"),
        ("cp1256", "مرحبا بالعالم كيف الحال"),
        ("cp932", "名前,住所\n山田,東京"),
        ("iso2022_jp", "こんにちは世界"),
        ("gb18030", "姓名,城市\n张伟,北京\n李娜,上海"),
        ("big5", "姓名,城市\n陳大文,台北"),
        ("cp949", "이름,도시\n김철수,서울"),
        ("utf-16-le", "Name;Stadt\nMüller;Köln"),
        ("utf-16-be", "Name;Stadt\nMüller;Köln"),
    ],
)
def test_encodings_that_nothing_says_are_found_and_told(encoding, text):
    found = decode(text.encode(encoding))
    assert found.text == text
    assert found.guessed
    assert found.remark == f"the file does not say its encoding: read as {found.encoding}, which its bytes suggest"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_that_are_said_need_no_remark(encoding):
    found = decode("Grüße, 東京".encode(encoding))
    assert (found.text, found.remark) == ("Grüße, 東京", "")


def test_a_long_text_with_few_letters_that_are_not_ascii_is_read_whole():
    text = "plain words\n" * 20_000 + "Отчёт о продажах за март\n" + "plain words\n" * 10
    assert decode(text.encode("cp1251")).text == text


def test_bytes_that_no_encoding_explains_are_replaced_not_refused():
    assert decode(b"abc \x81\x8d\xff\x90\x9d xyz").text.startswith("abc ")


def test_utf_16_without_a_mark_is_text_and_other_zeros_are_not():
    assert is_text("Name;Stadt".encode("utf-16-le"))
    assert not is_text(b"\x00\x00\x01\x02" * 8)
