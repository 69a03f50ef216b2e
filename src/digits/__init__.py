"""MNIST's handwritten digits: data, model, and what surrounds a run. Importing this imports no
torch.
"""

import sys
from types import ModuleType

# TensorBoard's own switch: without it, it imports TensorFlow where that is installed, 5 s a run
sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
