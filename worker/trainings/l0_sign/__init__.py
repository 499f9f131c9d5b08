"""L0-SIGN learned from sets of features: `fitting` trains a network, `measures` judges it.

Source: Su, Zhang, Erfani & Xu, "Detecting Beneficial Feature Interactions for Recommender Systems", AAAI 2021,
https://arxiv.org/abs/2008.00404
"""
