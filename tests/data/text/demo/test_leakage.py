from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from skipln.data.text.demo.cleaning import words
from skipln.data.text.demo.leakage import THRESHOLD, near_duplicates, source_hash, split

LINES = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=9).map(" ".join), max_size=12)


def jaccard(one: str, other: str) -> Fraction:
    left, right = set(words(one)), set(words(other))
    return Fraction(len(left & right), len(left | right)) if left | right else Fraction(0)


@given(LINES, LINES, st.sampled_from([Fraction(1, 3), THRESHOLD, Fraction(1)]))
def test_prefix_filter_agrees_with_brute_force(lines: list[str], others: list[str], threshold: Fraction) -> None:
    expected = {i for i, one in enumerate(lines) if any(jaccard(one, other) >= threshold for other in others)}
    assert near_duplicates(lines, others, threshold) == expected


@given(st.dictionaries(st.text("abcdef ", min_size=1).filter(words), st.text("uvwxyz ", min_size=1), max_size=30))
def test_train_keeps_no_near_duplicate(pairs: dict[str, str]) -> None:
    parts = split(pairs.items(), held_out=3)
    for side in (0, 1):
        for kept in parts["train"]:
            assert all(jaccard(kept[side], held[side]) < THRESHOLD for held in parts["valid"] + parts["test"])


def test_a_similarity_exactly_at_the_threshold_counts() -> None:
    assert near_duplicates(["a b c d"], ["a b c e"]) == {0}  # 3 of 5
    assert near_duplicates(["a b c d"], ["a b e f"]) == set()


@given(st.permutations([(f"source {i} {i * 7919}", f"target {i}") for i in range(20)]))
def test_split_does_not_depend_on_the_order(pairs: list[tuple[str, str]]) -> None:
    assert split(pairs, held_out=4) == split(sorted(pairs), held_out=4)


def test_the_place_in_the_split_ignores_case_and_punctuation() -> None:
    assert source_hash(("Close the door!", "a")) == source_hash(("close  The Door", "b"))
