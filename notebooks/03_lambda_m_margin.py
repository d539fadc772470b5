# %% [markdown]
# # Lambda, M and the margin together
#
# Two settings can each raise the mAP, and yet raise it together by less than the sum of both gains. This page shows
# the mAP over pairs of settings and asks whether one setting changes the gain from the other. The settings are lambda
# (the weight of a record), M (the number of sampled absences) and the margin of the asymmetric loss.
#
# **Before you choose a loss by this page:** the default study starts every species at the balance of its loss, with
# `beta2: 0.95` and 12 epochs. The other studies on this page are older. They start every species at the score one half
# (`start: zero`), with `beta2: 0.999` and 6 epochs, and this decides much of their order. With that start,
# `beta2: 0.95` alone raises the mAP of focal loss by +0.238 (+0.216 to +0.260), significant (`focal_b95` -
# `focal_b999` in `experiments/adam_memory/results/pairs.csv`).
#
# The tables and figures come from the files of the studies; this page trains nothing. A difference is *significant*
# if its 95 % interval and its tests, corrected for all pairs of the study, agree (`results/pairs.csv`). No table has
# interactions. They are computed by the same rule from the values per species, which you have only if you have run
# the study. `results/report.html` says how much time a variant costs.

# %%
from presence_only.reporting.notebook import runs, scores
from presence_only.reporting.notebook.studies import beside, here

study = here()
lan_full = beside(study, "lan_full")
asl_in_lan_full = beside(study, "asl_in_lan_full")

# %% [markdown]
# ## Does gamma change the gain from the margin?

# %%
scores.surface(study, "asl", "gamma_neg", "clip")

# %%
scores.sweep(study, "clip", "asl")

# %%
runs.interaction(study, "asl", "gamma_neg", "clip")

# %% [markdown]
# There is no gain to change. The margin of `clip: 0.2` changes the mAP by -0.014 (-0.026 to -0.003), not significant,
# at the exponent 2 (`asl_g2_m020` - `asl_g2_m000`) and by -0.010 (-0.015 to -0.004), significant, at 4
# (`asl_g4_m020` - `asl_g4_m000`). A larger exponent without a margin changes it by -0.003 (-0.010 to +0.005), not
# significant (`asl_g4_m000` - `asl_g2_m000`). All numbers are in `results/pairs.csv`. From the start at one half the
# margin does help, see notebook 01.

# %% [markdown]
# ## Does lambda change the gain from more absences?
#
# Lambda is the weight of a record, and M is the number of sampled absences per row (`neg_samples`).

# %%
scores.surface(lan_full, "assume_negative", "pos_lambda", "neg_samples")

# %%
scores.pairs(lan_full, ("an_l4_m0", "an_l4_m8"), ("an_l64_m0", "an_l64_m8"), ("an_l64_m0", "an_l4_m0"))

# %% [markdown]
# Hardly, from the start at one half. All species in place of 8 add +0.026 (+0.013 to +0.042), significant, at lambda
# 4 (`an_l4_m0` - `an_l4_m8`) and +0.022 (+0.013 to +0.031), significant, at 64 (`an_l64_m0` - `an_l64_m8`). Lambda
# itself adds +0.122 (+0.103 to +0.145), significant (`an_l64_m0` - `an_l4_m0`). All numbers are in
# `experiments/lan_full/results/pairs.csv`.
#
# In the default study, lambda has no such gain: `an_l64` differs from `an_l4` by -0.010 (-0.018 to -0.002), not
# significant, in `results/pairs.csv`.

# %% [markdown]
# ## Does lambda change the gain from the penalty?
#
# `experiments/asl_in_lan_full` replaces the cross-entropy of `an_full` by focal loss or the asymmetric loss, at two
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
# At lambda 16 the asymmetric loss adds +0.099 (+0.080 to +0.119), significant (`asl_g4_m005_l16` - `bce_l16`). At 256
# it adds +0.007 (-0.002 to +0.017), not significant (`asl_g4_m005_l256` - `bce_l256`). A larger lambda alone adds
# +0.101 (+0.078 to +0.120), significant (`bce_l256` - `bce_l16`). All numbers are in
# `experiments/asl_in_lan_full/results/pairs.csv`.
#
# Both raise the weight of presences against easy absences, and one is enough to recover from the start at one half.
