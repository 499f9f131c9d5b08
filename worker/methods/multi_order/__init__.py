"""Multi-order interactions: how strongly two players interact, by the number of other players that are present.

Source: Deng et al., "The Interaction Bottleneck of Deep Neural Networks: Discovery, Proof, and Modulation"; the
quantity itself: Zhang et al., https://arxiv.org/abs/2006.04888 and Deng et al., https://arxiv.org/abs/2111.06236.
"""
