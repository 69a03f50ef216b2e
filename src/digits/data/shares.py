"""Check that the processes of a run can share its images."""

from digits.errors import InputError


def check_batch(batch_size: int, count: int) -> None:
    if count and batch_size % count:
        raise InputError(
            f"data.batch_size={batch_size}: {count} processes share each batch: "
            f"expected a multiple of {count}"
        )


def check_val(val_size: int, count: int) -> None:
    if 0 < val_size < count:
        raise InputError(
            f"data.val_size={val_size}: {count} processes share it: expected at least {count}"
        )
