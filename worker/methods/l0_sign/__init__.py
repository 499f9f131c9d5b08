"""L0-SIGN: predict from a set of features by its beneficial pairs, and explain every prediction exactly.

A row is a graph: its features are nodes, and a gate on each pair, a feature with itself included, says whether there
is an edge. What an edge says is added up, so a prediction is a bias and one contribution an edge. `pairs` lists the
pairs, `hard_concrete` is the gate, `perceptron` what is asked of a pair, `model` the network, `losses` what it
minimises, `explain` the contributions.

Source: Su, Zhang, Erfani & Xu, "Detecting Beneficial Feature Interactions for Recommender Systems", AAAI 2021,
https://arxiv.org/abs/2008.00404
"""
