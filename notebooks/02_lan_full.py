# %% [markdown]
# # LAN-full: which pairs should count as absent, and how much should a record weigh?
#
# The losses on this page differ in the pairs of site and species that they take as absent:
#
# * `an_slds` takes another species at the same location (same location, different species).
# * `an_ssdl` takes the same species at another location (same species, different location).
# * `an_full` takes all pairs of both kinds; other locations are random sites (background).
# * The forms that end in `_me` ask for maximum uncertainty in place of absence.
# * `assume_negative` is the loss of the BirdNET geomodel. It takes M sampled species per row, or all of them.
#
# In `an_full` and `assume_negative`, lambda is the weight of a record. With lambda 1 and all species they are plain
# cross-entropy, with random sites (`bce_background`) and without (`bce`).
#
# **Before you choose a loss by this page:** no loss was tuned in these worlds. All have one learning rate, and one
# length: 20 epochs in the default study and 12 epochs in `experiments/lambda_m_margin`. Each study has four virtual
# worlds of 200 species. The default study has published settings, except where the text says that held-out records
# chose them. `experiments/fair` tunes every loss with the same effort in worlds of two kinds, and `docs/answer.md`
# argues its answer. Earlier versions of this page found large gains by a high lambda; they are withdrawn
# (`experiments/README.md`).
#
# The tables and figures come from the files of the studies; this page trains nothing. A mean is over data sets, and its
# interval is that of the mean over all worlds of this kind. A difference is *significant* if its 95 % interval and its
# test, corrected for all pairs of the study, agree (`results/across_pairs.csv`), and *practically equal* if the whole
# interval lies within one point of 0. Some figures need files that are not in git. They appear only if you have run the
# study, and take all worlds together.

# %%
from presence_only.reporting.notebook import runs, scores
from presence_only.reporting.notebook.studies import beside, here

study = here()
weights = beside(study, "lambda_m_margin")
strategies = ["an_full", "an_slds", "an_ssdl", "an_full_me", "an_slds_me", "an_ssdl_me", "assume_negative"]

# %% [markdown]
# ## How do the strategies compare?
#
# The first comparison is that of the default study, with plain cross-entropy beside. `an_full` has the lambda that SINR
# published, `2048`, and `an_full_l3` the lambda 3 that held-out records chose. `an_l16` is `assume_negative` with
# lambda 16, and `m32` says that it takes 32 sampled species.

# %%
scores.comparison(study, "bce", *strategies)

# %%
scores.leaderboard(study, "bce", *strategies)

# %% [markdown]
# Random sites with a small lambda are best: `an_full_l3` reaches 0.747 (0.723 to 0.771) and `bce_background` 0.746
# (0.724 to 0.768). Without random sites, `bce` reaches 0.705 (0.675 to 0.734). One absence per record is too little:
# `an_slds` reaches 0.572 (0.525 to 0.618). All means are in `results/across.csv`.
#
# `an_full` has the same absences as `an_full_l3`. With SINR's lambda it is below plain cross-entropy without random
# sites, by -0.020 (-0.031 to -0.008), not significant (`an_full` - `bce`), in all four worlds
# (`results/across_pairs.csv`).

# %% [markdown]
# The second comparison is that of `experiments/lambda_m_margin`, which has more strategies in four other worlds. There,
# `full_l1` is `an_full` with lambda 1, and `full_l2048` has SINR's lambda.

# %%
scores.comparison(weights, *strategies)

# %%
scores.leaderboard(weights, *strategies)

# %% [markdown]
# Here, `asl_g4_m005_l16`, LAN-full with the asymmetric penalty and lambda 16, has the highest mAP, 0.738 (0.708 to
# 0.767), and `an_ssdl_me` the lowest, 0.323 (0.316 to 0.330), in `experiments/lambda_m_margin/results/across.csv`.
# Three groups can be seen: LAN-full with a small lambda, losses without background sites, and those with one absence
# per record.

# %% [markdown]
# ## Absences at the same place, at another place, or both?

# %%
scores.pairs(weights, ("full_l1", "an_l1"), ("an_l1", "an_slds"), ("an_slds", "an_ssdl"), ("full_l1", "an_ssdl"))

# %% [markdown]
# Both. Without absences at other places, the mAP of `an_l1` is below that of `full_l1` by -0.051 (-0.076 to -0.027),
# not significant (`an_l1` - `full_l1`). With only one absence at the same place it falls by a further -0.129 (-0.151 to
# -0.106), not significant (`an_slds` - `an_l1`). All numbers are in
# `experiments/lambda_m_margin/results/across_pairs.csv`. All worlds agree on these orders; the correction for all pairs
# of 31 variants is strict with four worlds.

# %% [markdown]
# ## Absent, or only uncertain?
#
# Each maximum-entropy form is compared with its plain form; `full_me` has lambda 256.

# %%
scores.pairs(weights, ("full_me", "full_l256"), ("an_slds_me", "an_slds"), ("an_ssdl_me", "an_ssdl"))

# %% [markdown]
# Absent. Asking for uncertainty changes the mAP by -0.087 (-0.108 to -0.066), not significant (`full_me` -
# `full_l256`), by -0.123 (-0.168 to -0.078), not significant (`an_slds_me` - `an_slds`) and by -0.180 (-0.212 to
# -0.149), not significant (`an_ssdl_me` - `an_ssdl`), lower in all four worlds, in
# `experiments/lambda_m_margin/results/across_pairs.csv`.

# %% [markdown]
# ## How much should a record weigh?

# %%
scores.sweep(weights, "pos_lambda", "an_full", "assume_negative", log=True)

# %%
scores.pairs(
    weights,
    ("full_l16", "full_l1"),
    ("full_l256", "full_l1"),
    ("full_l2048", "full_l1"),
    ("an_l16", "an_l1"),
    ("an_l64", "an_l1"),
    ("an_l256", "an_l1"),
)

# %% [markdown]
# As much as an absence, or a little more. With background sites, lambda 16 changes the mAP by +0.007 (+0.004 to
# +0.009), not significant, practically equal (`full_l16` - `full_l1`), lambda 256 by -0.016 (-0.025 to -0.008), not
# significant (`full_l256` - `full_l1`) and SINR's lambda of `2048` by -0.049 (-0.069 to -0.028), not significant
# (`full_l2048` - `full_l1`). Without them, lambda 16 changes it by -0.003 (-0.018 to +0.011), not significant (`an_l16`
# - `an_l1`) and lambda 256 by -0.039 (-0.058 to -0.021), not significant (`an_l256` - `an_l1`). All numbers are in
# `experiments/lambda_m_margin/results/across_pairs.csv`.

# %% [markdown]
# Is it the same in the default study, with 20 epochs in place of 12?

# %%
scores.pairs(study, ("an_full_l3", "an_full"), ("an_full_l3", "bce_background"), ("an_l16", "bce"))

# %% [markdown]
# Yes. Lambda 3 in place of SINR's `2048` adds +0.062 (+0.044 to +0.081), not significant (`an_full_l3` - `an_full`), in
# all four worlds. Against lambda 1, it adds +0.001 (-0.004 to +0.006), not significant, practically equal (`an_full_l3`
# - `bce_background`). Without random sites, lambda 16 adds +0.001 (-0.006 to +0.007), not significant, practically
# equal (`an_l16` - `bce`). All numbers are in `results/across_pairs.csv`.
#
# A high weight moves the balance of the loss towards the score one half. Where training starts at one half, such a loss
# has less to correct, which made high weights look good in earlier versions of this page.

# %% [markdown]
# ## How many sampled absences are enough?
#
# `neg_samples: 0` takes all species of a row. In the figure it stands at the number of species.

# %%
scores.sweep(weights, "neg_samples", "assume_negative", log=True)

# %%
scores.pairs(
    weights, ("an_l16_m32", "an_l16"), ("an_l16_m8", "an_l16"), ("an_l64_m32", "an_l64"), ("an_l64_m8", "an_l64")
)

# %% [markdown]
# All of them are best. With 32 of 200 the mAP is lower by -0.012 (-0.026 to +0.001), not significant (`an_l16_m32` -
# `an_l16`), and with 8 by -0.044 (-0.062 to -0.027), not significant (`an_l16_m8` - `an_l16`), in
# `experiments/lambda_m_margin/results/across_pairs.csv`. In the default study, with 20 epochs, 32 of 200 change it by
# -0.018 (-0.028 to -0.008), not significant (`an_l16_m32` - `an_l16`), in `results/across_pairs.csv`.

# %% [markdown]
# ## What do background sites bring?
#
# Other rows of the batch can take the place of random sites (`spatial: batch`).

# %%
scores.pairs(weights, ("full_l1", "an_l1"), ("full_l16", "an_l16"), ("an_l16_batch", "an_l16"))

# %%
scores.pairs(study, ("bce_background", "bce"), ("an_full_l3", "bce"), ("an_full", "bce"))

# %% [markdown]
# They raise the mAP at both lambdas of the first table. At lambda 1 they add +0.051 (+0.027 to +0.076), not significant
# (`full_l1` - `an_l1`) and at 16 +0.061 (+0.049 to +0.073), not significant (`full_l16` - `an_l16`). Other rows of the
# batch add -0.001 (-0.003 to +0.001), not significant, practically equal (`an_l16_batch` - `an_l16`). These numbers are
# in `experiments/lambda_m_margin/results/across_pairs.csv`.
#
# In the default study they add +0.041 (+0.021 to +0.061), not significant to plain cross-entropy (`bce_background` -
# `bce`). With lambda 3, the gain is +0.043 (+0.018 to +0.067), not significant (`an_full_l3` - `bce`). With SINR's
# lambda nothing is left of it: the difference is -0.020 (-0.031 to -0.008), not significant (`an_full` - `bce`). All
# four worlds agree on these orders. These numbers are in `results/across_pairs.csv`.

# %% [markdown]
# ## With random sites, does the loss still matter?
#
# Four variants of the default study have random sites and settings that held-out records chose. `bce_background` and
# `an_full_l3` are known from above. `asl_background` is the asymmetric loss, which ignores easy absences. `nnpu` takes
# pairs without a record as unlabelled and not as absent. Two published losses are beside them. `two_way` has the
# highest mAP of all losses without random sites. `maxent` has random sites and compares every record with them.

# %%
scores.pairs(
    study,
    ("an_full_l3", "bce_background"),
    ("asl_background", "bce_background"),
    ("asl_background", "an_full_l3"),
    ("nnpu", "bce_background"),
    ("bce_background", "two_way"),
    ("bce_background", "maxent"),
)

# %% [markdown]
# Hardly, for three of the four. `an_full_l3` differs from `bce_background` by +0.001 (-0.004 to +0.006), not
# significant, practically equal (`an_full_l3` - `bce_background`). `asl_background` differs from it by +0.004 (+0.001
# to +0.007), not significant, practically equal (`asl_background` - `bce_background`), and from `an_full_l3` by +0.003
# (-0.003 to +0.008), not significant, practically equal (`asl_background` - `an_full_l3`). `nnpu` is a little lower, by
# -0.008 (-0.015 to -0.001), not significant (`nnpu` - `bce_background`). All numbers are in `results/across_pairs.csv`.
#
# All four are above every loss without random sites, in every world. The closest of these is `two_way`:
# `bce_background` is above it by +0.029 (+0.014 to +0.044), not significant (`bce_background` - `two_way`). Random
# sites alone are not enough: `bce_background` is also above `maxent`, by +0.023 (+0.019 to +0.027), significant
# (`bce_background` - `maxent`). All numbers are in `results/across_pairs.csv`.

# %% [markdown]
# ## Are the scores as large as the loss leads us to expect?
#
# Suppose that a share pi of the rows has a record of a species. The weighted cross-entropy is then smallest at a score
# of `lambda pi / (lambda pi + 1 - pi + b)`, where b is the weight of background sites without the species. This holds
# for a network that cannot tell sites apart, and training starts there (`encoder.start: balance`). How far from it do
# the scores of a trained network end?

# %%
runs.expected_scores(study, "bce", "assume_negative", "an_full")

# %%
runs.expected_score_table(study, "bce", "assume_negative", "an_full")

# %% [markdown]
# With lambda 1 and 3, about half of the species have a mean score above the expected one, and half below. With lambda
# 16 most are below, and with `2048` almost all, by a factor of more than ten in the median. So the expected score is a
# good guess only for a small lambda. Losses with another lambda have scores at another level, so a threshold for one
# does not fit another.
