# %% [markdown]
# # Lambda, M and the margin together
#
# Two settings may each help and yet not add up. This page shows mAP over pairs of settings, and asks whether one
# changes what the other brings.
#
# **Before you choose a loss by this page:** the training is short (6 epochs, Adam with `beta2: 0.999`), and this
# decides much of the order: `beta2: 0.95` alone lifts focal loss by +0.238 (+0.216 to +0.260), significant
# (`focal_b95` - `focal_b999` in `experiments/adam_memory/results/pairs.csv`).
#
# Tables and figures are made from the studies' files; nothing is trained here. A difference is *significant* if
# its 95 % interval and its tests, corrected for all pairs of the study, say so together (`results/pairs.csv`). An
# interaction is in no table: it is computed by the same rule from the values per species, which only those have
# who ran the study. What a variant costs in time is in `results/report.html`.

# %%
from presence_only.reporting.notebook import runs, scores
from presence_only.reporting.notebook.studies import beside, here

study = here()
lan_full = beside(study, "lan_full")
asl_in_lan_full = beside(study, "asl_in_lan_full")

# %% [markdown]
# ## Does gamma change what the margin brings?

# %%
scores.surface(study, "asl", "gamma_neg", "clip")

# %%
scores.sweep(study, "clip", "asl")

# %%
runs.interaction(study, "asl", "gamma_neg", "clip")

# %% [markdown]
# The margin of `clip: 0.2` brings +0.059 (+0.041 to +0.075), significant, at the exponent 2 (`asl_g2_m020` -
# `asl_g2_m000`) and +0.108 (+0.093 to +0.122), significant, at 4 (`asl_g4_m020` - `asl_g4_m000`), in
# `results/pairs.csv`. Neither stands in for the other.

# %% [markdown]
# ## Does lambda change what M brings?
#
# lambda is the weight of a record, M the number of sampled absences that it stands against (`neg_samples`).

# %%
scores.surface(lan_full, "assume_negative", "pos_lambda", "neg_samples")

# %%
scores.pairs(lan_full, ("an_l4_m0", "an_l4_m8"), ("an_l64_m0", "an_l64_m8"), ("an_l64_m0", "an_l4_m0"))

# %% [markdown]
# Hardly: all species in place of 8 bring +0.026 (+0.013 to +0.042), significant, at lambda 4 (`an_l4_m0` -
# `an_l4_m8`) and +0.022 (+0.013 to +0.031), significant, at 64 (`an_l64_m0` - `an_l64_m8`), while lambda itself
# brings +0.122 (+0.103 to +0.145), significant (`an_l64_m0` - `an_l4_m0`), in
# `experiments/lan_full/results/pairs.csv`.

# %% [markdown]
# ## Does lambda change what the penalty brings?
#
# `experiments/asl_in_lan_full` has `an_full` with focal or asymmetric loss in the place of cross-entropy, at two
# values of lambda.

# %%
scores.sweep(asl_in_lan_full, "pos_lambda", "an_full", log=True)

# %%
scores.pairs(
    asl_in_lan_full,
    ("asl_g4_m005_l16", "bce_l16"),
    ("focal_l16", "bce_l16"),
    ("asl_g4_m005_l256", "bce_l256"),
    ("bce_l256", "bce_l16"),
)

# %% [markdown]
# At lambda 16 asymmetric loss brings +0.099 (+0.080 to +0.119), significant (`asl_g4_m005_l16` - `bce_l16`); at
# 256 it brings +0.007 (-0.002 to +0.017), not significant (`asl_g4_m005_l256` - `bce_l256`). A larger lambda
# alone brings +0.101 (+0.078 to +0.120), significant (`bce_l256` - `bce_l16`). All are in
# `experiments/asl_in_lan_full/results/pairs.csv`.
