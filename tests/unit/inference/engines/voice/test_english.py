"""Money, dates, units and abbreviations in words."""

import pytest

from fastembed.inference.engines.voice.english import in_words


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("It costs $1,234.50.", "It costs 1,234 dollars and 50 cents."),
        ("$1", "1 dollar"),
        ("$1.01", "1 dollar and 1 cent"),
        ("$0.99", "99 cents"),
        ("$5.00", "5 dollars"),
        ("$3 million", "3 million dollars"),
        ("£2.5bn", "2.5 billion pounds"),
        ("£1.05", "1 pound and 5 pence"),
        ("-€20", "minus 20 euros"),
        ("¥500", "500 yen"),
        ("2026-11-30", "November 30, 2026"),
        ("2026-13-30", "2026-13-30"),
        ("on 12/05/2026", "on December 5, 2026"),
        ("on 25/05/2026", "on May 25, 2026"),
        ("1/2/3", "1/2/3"),
        ("-5 °C", "minus 5 degrees Celsius"),
        ("1 km or 3.5km", "1 kilometer or 3.5 kilometers"),
        ("100 km/h", "100 kilometers per hour"),
        ("50%", "50 percent"),
        ("16GB", "16 gigabytes"),
        ("1990–1995", "1990 to 1995"),
        ("No. 5", "number 5"),
        ("12 St. James St.", "12 Saint James Street"),
        ("fruit, e.g. pears, i.e. these, etc.", "fruit, for example pears, that is these, et cetera"),
        ("Dr. Smith vs. Mrs. Jones & Co", "Doctor Smith versus Missus Jones and Co"),
        ("555-1234", "555-1234"),
        ("3:30 pm", "3:30 pm"),
        ("well-known", "well-known"),
        ("a 5-year plan", "a 5-year plan"),
        ("AT&T", "AT&T"),
        ("20 MBA students", "20 MBA students"),
    ],
)
def test_what_rules_misread_is_written_out(written, said):
    assert in_words(written) == said


def test_the_day_stands_before_the_month_in_britain():
    assert in_words("12/05/2026", "en-gb") == "May 12, 2026"
