# %% [markdown]
# # LAN-full: which pairs should count as absent, and how much should a record weigh?
#
# The losses on this page differ in the pairs of site and species that they take as absent:
#
# * `an_slds` takes another species at the same location (same location, different species).
# * `an_ssdl` takes the same species at another location (same species, different location).
# * `an_full` takes all pairs of both kinds; other locations are random sites without records (background).
# * The forms that end in `_me` ask for maximum uncertainty in place of absence.
# * `assume_negative` is the loss of the BirdNET geomodel. It takes M sampled species per row, or all of them.
#
# In `an_full` and `assume_negative`, lambda is the weight of a record. With lambda 1 and all species they are plain
# cross-entropy, with background sites and without.
#
# **Before you choose a loss by this page:** no loss was tuned. All have one learning rate and one length, in virtual
# worlds of 200 species. A comparison in which every loss is tuned with the same effort is being run
# (`experiments/fair`). Earlier versions of this page found large gains by lambda and by LAN-full; they are withdrawn
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
# The first comparison is that of the default study, with plain cross-entropy beside.

# %%
scores.comparison(study, "bce", *strategies)

# %%
scores.leaderboard(study, "bce", *strategies)

# %% [markdown]
# TEXT1

# %% [markdown]
# The second comparison is that of `experiments/lambda_m_margin`, which has more strategies in four other worlds.

# %%
scores.comparison(weights, *strategies)

# %%
scores.leaderboard(weights, *strategies)

# %% [markdown]
# TEXT2

# %% [markdown]
# ## Absences at the same place, at another place, or both?

# %%
scores.pairs(weights, ("full_l1", "an_l1"), ("an_l1", "an_slds"), ("an_slds", "an_ssdl"), ("full_l1", "an_ssdl"))

# %% [markdown]
# TEXT3

# %% [markdown]
# ## Absent, or only uncertain?
#
# Each maximum-entropy form is compared with its plain form; `full_me` has lambda 256.

# %%
scores.pairs(weights, ("full_me", "full_l256"), ("an_slds_me", "an_slds"), ("an_ssdl_me", "an_ssdl"))

# %% [markdown]
# TEXT4

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
# TEXT5

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
# TEXT6

# %% [markdown]
# ## What do background sites bring?
#
# Other rows of the batch can take the place of random sites (`spatial: batch`).

# %%
scores.pairs(weights, ("full_l1", "an_l1"), ("full_l16", "an_l16"), ("an_l16_batch", "an_l16"))

# %%
scores.pairs(study, ("bce_background", "bce"), ("nnpu", "bce"), ("bce_background", "an_full"))

# %% [markdown]
# TEXT7

# %% [markdown]
# ## Are the scores as large as the loss leads us to expect?
#
# Suppose that a share pi of the rows has a record of a species. The weighted cross-entropy is then smallest at a score
# of `lambda pi / (lambda pi + 1 - pi + b)`, where b is the weight of background sites without the species. This holds
# for a network that cannot tell sites apart, and training starts there (`encoder.start: balance`). The scores of a
# network that can tell sites apart are spread around this value.

# %%
runs.expected_scores(study, "bce", "assume_negative", "an_full")

# %%
runs.expected_score_table(study, "bce", "assume_negative", "an_full")

# %% [markdown]
# Losses with another lambda have scores at another level, so a threshold for one does not fit another.
