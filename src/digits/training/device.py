"""What a fit computes on, in words."""

import torch


def name(device: torch.device) -> str:
    """`cpu, 2 threads`, or a GPU with what its maker calls it."""
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu, {threads} thread{'s' if threads > 1 else ''}"
    return (
        f"{device} {torch.cuda.get_device_name(device)}" if device.type == "cuda" else str(device)
    )
