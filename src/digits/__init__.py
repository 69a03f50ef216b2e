"""MNIST's handwritten digits: data, model, and what surrounds a run. Importing this imports no
torch.
"""
