"""AND-OR interactions: the sparsest logical model that matches a network on every masked state.

`problem` states the sparse problem (Eq. 12 with its noise band), `solver` solves it with a certificate, `orders` and
`disentangling` summarise the answer, `published` repeats the published recipe for comparison.

Source: "Revisiting Generalization Power of a DNN in Terms of Symbolic Interactions",
https://arxiv.org/abs/2502.10162
"""
