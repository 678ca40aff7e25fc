"""Long work is announced once, from a measured step."""

import pytest
from micromotion.files.timing import Announcement, spoken


def announced(calls):
    """What is said when ``(second, done, total)`` come one after another."""
    said, now = [], [0.0]
    announcement = Announcement(said.append, "Fewer steps take less.", lambda: now[0])
    for second, done, total in calls:
        now[0] = second
        announcement(done, total)
    return said


def test_over_a_minute_is_said_once_after_the_second_step():
    calls = [(100 + 3 * i, i + 1, 201) for i in range(10)]
    assert announced(calls[:1]) == []
    assert announced(calls[:2]) == announced(calls) == ["This will take about 10 minutes more. Fewer steps take less."]


def test_a_minute_and_less_is_not():
    assert announced([(0, 1, 31), (2, 2, 31), (4, 3, 31)]) == []


def test_the_first_step_of_a_warm_start_counts_what_is_left_alone():
    assert announced([(0, 900, 1000), (1, 910, 1000)]) == []


@pytest.mark.parametrize(
    ("seconds", "words"), [(61, "1 minute"), (95, "2 minutes"), (3000, "50 minutes"), (5400, "1.5 hours"), (36000, "10.0 hours")]
)
def test_words(seconds, words):
    assert spoken(seconds) == words
