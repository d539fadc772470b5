# %% [markdown]
# # Lambda, M and the margin together
#
# Two settings can each change the mAP, and together change it by more or less than the sum of both. This page shows the
# mAP over pairs of settings and asks whether one setting changes what the other brings. The settings are lambda (the
# weight of a record), M (the number of sampled absences) and the margin of the asymmetric loss.
#
# All answers come from `experiments/lambda_m_margin`, which has 31 variants in four virtual worlds of 200 species.
#
# **Before you choose a loss by this page:** no loss was tuned. All have one learning rate and one length, 12 epochs.
# `experiments/fair` tunes every loss with the same effort in worlds of two kinds, and `docs/answer.md` argues its
# answer. Earlier versions of this page found that lambda, the exponent and the margin replace each other; they only
# helped to recover from a start at the score one half (`experiments/README.md`).
#
# The tables and figures come from the files of the study; this page trains nothing. A mean is over data sets, and its
# interval is that of the mean over all worlds of this kind. A difference is *significant* if its 95 % interval and its
# test, corrected for all pairs of the study, agree (`experiments/lambda_m_margin/results/across_pairs.csv`). Two
# variants are *practically equal* if the whole interval lies within one point of 0. An interaction is no row of that
# table: it is taken in every data set and judged by the same interval and test, for this one comparison.

# %%
from presence_only.reporting.notebook import interactions, scores
from presence_only.reporting.notebook.studies import beside, here

weights = beside(here(), "lambda_m_margin")

# %% [markdown]
# ## Does gamma change what the margin brings?
#
# `gamma_neg` is the exponent for absences and `clip` is the margin. The table compares the step from no margin to the
# widest one at both exponents; its last row is the interaction.

# %%
scores.surface(weights, "asl", "gamma_neg", "clip")

# %%
interactions.interaction(weights, "asl", "gamma_neg", "clip")

# %% [markdown]
# Hardly, and there is no gain to change. The margin of `clip: 0.4` changes the mAP by -0.013 (-0.036 to +0.010), not
# significant (`asl_g2_m040` - `asl_g2_m000`) at the exponent 2 and by -0.005 (-0.014 to +0.004), not significant
# (`asl_g4_m040` - `asl_g4_m000`) at 4, in `experiments/lambda_m_margin/results/across_pairs.csv`. The interaction is
# not significant either.

# %% [markdown]
# ## Does lambda change what more absences bring?
#
# Lambda is the weight of a record, and M is the number of sampled absences per row (`neg_samples`).

# %%
scores.surface(weights, "assume_negative", "pos_lambda", "neg_samples")

# %%
scores.pairs(weights, ("an_l16", "an_l16_m8"), ("an_l64", "an_l64_m8"), ("an_l64", "an_l16"))

# %%
interactions.interaction(weights, "assume_negative", "pos_lambda", "neg_samples")

# %% [markdown]
# Hardly. All species in place of 8 sampled ones add +0.044 (+0.027 to +0.062), not significant (`an_l16` - `an_l16_m8`)
# at lambda 16 and +0.034 (+0.014 to +0.054), not significant (`an_l64` - `an_l64_m8`) at 64. Lambda itself changes the
# mAP by -0.010 (-0.020 to +0.000), not significant (`an_l64` - `an_l16`). All numbers are in
# `experiments/lambda_m_margin/results/across_pairs.csv`.

# %% [markdown]
# ## Does lambda change what background sites bring?

# %%
scores.pairs(weights, ("full_l1", "an_l1"), ("full_l16", "an_l16"), ("full_l256", "an_l256"))

# %% [markdown]
# A little: the gain grows with lambda, as a higher weight costs more where there are no background sites. It is +0.051
# (+0.027 to +0.076), not significant (`full_l1` - `an_l1`) at lambda 1, +0.061 (+0.049 to +0.073), not significant
# (`full_l16` - `an_l16`) at 16 and +0.074 (+0.059 to +0.089), not significant (`full_l256` - `an_l256`) at 256, in
# `experiments/lambda_m_margin/results/across_pairs.csv`.

# %% [markdown]
# ## Does lambda change what the penalty brings?
#
# `focal_l16` and its like replace the cross-entropy of `an_full` by focal loss or the asymmetric loss.

# %%
scores.sweep(weights, "pos_lambda", "an_full", log=True)

# %%
scores.pairs(
    weights,
    ("focal_l16", "full_l16"),
    ("asl_g4_m005_l16", "full_l16"),
    ("focal_l256", "full_l256"),
    ("asl_g4_m005_l256", "full_l256"),
    ("full_l256", "full_l16"),
)

# %% [markdown]
# No. At lambda 16 the asymmetric penalty adds +0.006 (-0.001 to +0.013), not significant (`asl_g4_m005_l16` -
# `full_l16`), and at 256 +0.008 (-0.003 to +0.018), not significant (`asl_g4_m005_l256` - `full_l256`). A larger lambda
# changes the mAP by -0.023 (-0.033 to -0.014), not significant (`full_l256` - `full_l16`). All numbers are in
# `experiments/lambda_m_margin/results/across_pairs.csv`.
#
# An earlier version of this page found a gain of ten points by the penalty at lambda 16 and as much by lambda. Both
# raise the weight of presences against easy absences, which helps to recover from a start at one half, and to nothing
# else here.
