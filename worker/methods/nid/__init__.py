"""Neural Interaction Detection (NID): interactions read off a network's weights.

Inputs can interact only through a hidden unit of the first layer that they all feed. A set's strength at a unit is how
much the unit can move the output, times an average of the set's weights into the unit; the minimum judges best, since
a set is only as strong as its weakest leg. `strengths` reads the weights, `ranking` finds sets of any size.

Source: Tsang, Cheng & Liu, "Detecting Statistical Interactions from Neural Network Weights", ICLR 2018,
https://arxiv.org/abs/1705.04977
"""

from worker.methods.nid import explanation

__all__ = ["explanation"]
