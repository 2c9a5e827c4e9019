"""Chance is repeatable, even, and leads back from ids to numbers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulator.draws import Cipher, Purpose, mix, mix_one, uniforms, unmix_one
from simulator.rhythm import average_days, instants_after

words = st.integers(0, 2**64 - 1)


@given(words)
def test_mixing_can_be_undone_and_is_the_same_for_arrays(number):
    assert unmix_one(mix_one(number)) == number
    assert int(mix(np.array([number], dtype=np.uint64))[0]) == mix_one(number)


@given(st.integers(0, 2**32), words)
def test_an_id_leads_back_to_its_number_and_only_its_exact_text_does(seed, number):
    cipher = Cipher(seed, 11)
    (text,) = cipher.texts(np.array([number], dtype=np.uint64))
    assert cipher.decode(text) == number
    other = "0" if text[-1] != "0" else "1"
    for wrong in (text[:-1], text + "0", text.upper() + "X", text[:-1] + other, ""):
        assert cipher.decode(wrong) is None


def test_draws_are_even_and_independent_of_company():
    numbers = np.arange(100_000, dtype=np.uint64)
    drawn = uniforms(1, numbers, (Purpose.LIFE, Purpose.WAIT))
    assert np.all(np.abs(drawn.mean(axis=1) - 0.5) < 0.005)
    assert abs(np.corrcoef(drawn)[0, 1]) < 0.02
    assert uniforms(1, numbers[7:8], (Purpose.WAIT,))[0, 0] == drawn[1, 7]


@given(st.floats(0, 4e9))
def test_counts_of_days_and_instants_are_inverse(instant):
    assert abs(instants_after(average_days(np.array([instant])))[0] - instant) < 0.01
