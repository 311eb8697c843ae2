from skipln.data.text.demo.floors import nearest


def test_nearest_is_the_most_similar_line_or_the_first_of_equals() -> None:
    lines = ["a b c d", "a b", "b a", "x y"]
    assert nearest(["a b", "y z", "a b c", "none"], lines) == [1, 3, 0, 0]
