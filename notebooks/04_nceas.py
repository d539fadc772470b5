# %% [markdown]
# # NCEAS: the same losses on real records with independent surveys
#
# The benchmark of Elith et al. (2020) has presence-only records for training and presence-absence surveys for
# testing. Its files are not part of this repository; `experiments/nceas/README.md` says how to get them. This page
# needs only two things: the tables that are committed with that study, and the scores that others published for the
# same regions (`experiments/nceas/published.csv`).
#
# **Before you choose a loss by this page:** this study starts every species at the score one half (`start: zero`), with
# `beta2: 0.999` and 800 steps. The study `experiments/nceas_start` trained the same losses again, with `beta2: 0.95`
# and from the score that each loss would give a species without seeing any site (`start: balance`). The AUC of
# cross-entropy then differs from that on this page (`bce_balance_95` minus `bce_zero_999`) by +0.036 (+0.006 to
# +0.071), not significant, in `nceas_awt`, by +0.017 (-0.001 to +0.036), not significant, in `nceas_sa` and by +0.047
# (+0.028 to +0.073), significant, in `nceas_swi` (`experiments/nceas_start/results/pairs.csv`). None of the four
# other losses changes by more than `0.004`, and no two of the five then differ significantly in any region. So the
# deficit of `bce` on this page is mostly that of its start and of the optimizer.
#
# The tables and figures come from the files of the study; this page trains nothing. A difference is *significant* if
# its 95 % interval and its tests, corrected for all pairs of the region, agree
# (`experiments/nceas/results/pairs.csv`). Published scores have no intervals.

# %%
from presence_only.reporting.notebook import published
from presence_only.reporting.notebook.studies import beside, here

nceas = beside(here(), "nceas")

# %% [markdown]
# ## How do our losses compare in each region?

# %%
published.regions(nceas)

# %% [markdown]
# The AUC of `forest_blend` is 0.738 (0.700 to 0.774) in `nceas_awt`, 0.813 (0.770 to 0.853) in `nceas_sa` and 0.852
# (0.824 to 0.880) in `nceas_swi`, in `experiments/nceas/results/comparison.csv`. That of `blend` is 0.737 (0.698 to
# 0.774), 0.806 (0.764 to 0.847) and 0.843 (0.812 to 0.872).

# %%
published.against_the_best(nceas)

# %% [markdown]
# Most of these differences are significant in `nceas_swi` alone. The AUC of `blend` differs from that of `forest_blend`
# by -0.001 (-0.012 to +0.009), not significant, in `nceas_awt`, by -0.007 (-0.015 to +0.001), not significant, in
# `nceas_sa` and by -0.009 (-0.014 to -0.005), significant, in `nceas_swi`, in `experiments/nceas/results/pairs.csv`.
# The AUC of `bce` differs from that of `blend` by -0.044 (-0.076 to
# -0.012), significant, in `nceas_awt`, by -0.022 (-0.043 to -0.001), not significant, in `nceas_sa` and by -0.051
# (-0.075 to -0.031), significant, in `nceas_swi`, in `experiments/nceas/results/pairs.csv`.

# %% [markdown]
# ## How do they compare with published scores?

# %%
published.published(nceas)

# %% [markdown]
# In each region, the highest published score on this page lies within the interval of `forest_blend`. The
# configurations of `forest_blend` and `blend` were chosen by cross-validation on presence-only data. Networks, features
# and training differ between the sources.

# %% [markdown]
# ## How do others score with the same loss?
#
# These are the published methods whose loss is also in the study.

# %%
published.same_loss(nceas)

# %% [markdown]
# A loss is only one part of a method. With another network and another background, the same loss has another score.

# %% [markdown]
# ## Where do the published scores come from?

# %%
published.sources(nceas)
