"""Text in a figure."""

from digits.errors import flat

LONGEST = 100  # characters


def words(text: str) -> str:
    """On one line, and as it stands: for matplotlib, what is between dollars is mathematics."""
    return flat(text)[:LONGEST].replace("$", r"\$")
