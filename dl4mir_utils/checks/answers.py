"""What every check uses: its one line of answer."""

from typing import Any


def say(right: bool, praise: str, advice: str) -> None:
    """Print "Right." and the praise, or "Not yet." and the advice."""
    print(f"Right. {praise}" if right else f"Not yet. {advice}")


def is_open(*answers: Any) -> bool:
    """Say so and return True if an answer is still the None of the stub."""
    if any(answer is None for answer in answers):
        print("This exercise is still open: put your answer in the cell above, then run this one again.")
        return True
    return False
