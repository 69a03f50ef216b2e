"""Check that the processes of a run, or the parts of cross-validation, can share its images."""

from digits.errors import InputError


def check_batch(batch_size: int, count: int) -> None:
    if count and batch_size % count:
        raise InputError(
            f"data.batch_size={batch_size}: {count} processes share each batch: "
            f"expected a multiple of {count}"
        )


def check_folds(val_size: int, folds: int | None, fold: int | None) -> None:
    if (folds is None) != (fold is None) or not 0 <= (fold or 0) < (folds or 1):
        told = f"data.folds={folds} data.fold={fold}".replace("None", "null")
        raise InputError(f"{told}: expected two numbers, the second from 0 to below the first")
    if folds and val_size:
        raise InputError(
            f"data.val_size={val_size}: with data.folds={folds} a fold is held out; expected 0"
        )


def held_out(count: int, val_size: int, folds: int | None, fold: int | None) -> range:
    """Return the places, in a shuffle of `count` images, of those to validate on."""
    if folds is None or fold is None:
        return range(val_size)
    return range(fold * count // folds, (fold + 1) * count // folds)


def check_val(val_size: int, count: int) -> None:
    if 0 < val_size < count:
        raise InputError(
            f"data.val_size={val_size}: {count} processes share it: expected at least {count}"
        )
