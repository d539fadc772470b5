# %% [markdown]
# # LAN-full: which pairs should count as absent, and how much should a record weigh?
#
# The losses on this page differ in the pairs of site and species that they take as absent:
#
# * `an_slds` takes another species at the same location (same location, different species).
# * `an_ssdl` takes the same species at another location (same species, different location).
# * `an_full` takes all pairs of both kinds.
# * The forms that end in `_me` ask for maximum uncertainty in place of absence.
# * `assume_negative` is the loss of the BirdNET geomodel. It takes M sampled species per row, or all of them.
#
# In `an_full` and `assume_negative`, lambda is the weight of a record.
#
# **Before you choose a loss by this page:** the default study starts every species at the balance of its loss, with
# `beta2: 0.95` and 12 epochs. The other studies on this page are older. They start every species at the score one half
# (`start: zero`), with `beta2: 0.999` and 6 epochs or 600 steps, and this decides much of their order. With that start,
# `beta2: 0.95` shrinks the lead of `an_full` over cross-entropy from +0.289 (+0.259 to +0.317), significant
# (`full_b999` - `bce_b999`), to +0.069 (+0.057 to +0.082), significant (`full_b95` - `bce_b95`), in
# `experiments/adam_memory/results/pairs.csv`.
#
# The tables and figures come from the files of the studies; this page trains nothing. A difference is *significant*
# if its 95 % interval and its tests, corrected for all pairs of the study, agree (`results/pairs.csv`). Some figures
# need files that are not in git. They appear only if you have run the study.

# %%
from presence_only.reporting.notebook import runs, scores
from presence_only.reporting.notebook.studies import beside, here

study = here()
lan_full = beside(study, "lan_full")
records = beside(study, "records_per_species")
strategies = ["an_full", "an_slds", "an_ssdl", "an_full_me", "an_slds_me", "an_ssdl_me", "assume_negative"]

# %% [markdown]
# ## How do the strategies compare?
#
# The first comparison is that of the default study.

# %%
scores.comparison(study, *strategies)

# %%
scores.leaderboard(study, *strategies)

# %% [markdown]
# One absence per record is too little: `an_slds` reaches 0.579 (0.557 to 0.599) and `an_ssdl` 0.526 (0.498 to 0.550) in
# `results/comparison.csv`. Between taking all species of a row as absent and adding random sites there is hardly a
# difference: `an_full` is below `an_l4` by -0.013 (-0.024 to -0.002), not significant, in `results/pairs.csv`.

# %% [markdown]
# The second comparison is that of `experiments/lan_full`, which has more strategies in another virtual world, from the
# start at one half.

# %%
scores.comparison(lan_full, *strategies)

# %%
scores.leaderboard(lan_full, *strategies)

# %% [markdown]
# There, `full_l256` has the highest mAP, 0.673 (0.655 to 0.691), and `an_ssdl_me` the lowest, 0.261 (0.237 to 0.285),
# in `experiments/lan_full/results/comparison.csv`. The differences are larger than in the default study. The next
# sections ask about this study; their answers hold for its start and its short training.

# %% [markdown]
# ## Absences at the same place, at another place, or both?

# %%
scores.pairs(lan_full, ("full_l64", "an_slds"), ("full_l64", "an_ssdl"), ("an_slds", "an_ssdl"))

# %% [markdown]
# Both. The mAP of `full_l64` is above that of `an_slds` by +0.107 (+0.091 to +0.123), significant, and that of
# `an_slds` is above that of `an_ssdl` by +0.102 (+0.082 to +0.124), significant, in
# `experiments/lan_full/results/pairs.csv`.

# %% [markdown]
# ## Absent, or only uncertain?
#
# Each maximum-entropy form is compared with its plain form at the same lambda.

# %%
scores.pairs(lan_full, ("full_me", "full_l64"), ("an_slds_me", "an_slds"), ("an_ssdl_me", "an_ssdl"))

# %% [markdown]
# Absent. Asking for uncertainty changes the mAP by -0.023 (-0.034 to -0.013), significant (`full_me` - `full_l64`),
# and by -0.189 (-0.214 to -0.165), significant (`an_slds_me` - `an_slds`), in
# `experiments/lan_full/results/pairs.csv`.

# %% [markdown]
# ## How much should a record weigh?

# %%
scores.sweep(lan_full, "pos_lambda", "an_full", "assume_negative", log=True)

# %%
scores.pairs(lan_full, ("full_l256", "full_l1"), ("full_l256", "full_l64"), ("full_l256", "full_l1024"))

# %% [markdown]
# About 256 for these 500 species, from that start. `full_l256` is above `full_l64` by +0.021 (+0.012 to +0.029),
# significant, and above `full_l1024` by +0.008 (-0.002 to +0.019), not significant, in
# `experiments/lan_full/results/pairs.csv`.
#
# In the default study the weight matters little. Without random sites, `an_l64` differs from `an_l4` by -0.010
# (-0.018 to -0.002), not significant, in `results/pairs.csv`. A high weight moves the balance of the loss towards the
# score one half, so such a loss has less to correct where training starts at one half.

# %% [markdown]
# ## How many sampled absences are enough?
#
# `neg_samples: 0` takes all species of a row. In the figure it stands at the number of species.

# %%
scores.sweep(lan_full, "neg_samples", "assume_negative", log=True)

# %%
scores.pairs(lan_full, ("an_l64_m0", "an_l64_m128"), ("an_l64_m0", "an_l64_m8"), ("an_l4_m0", "an_l4_m8"))

# %% [markdown]
# All species give a higher mAP than 128 of 500 by +0.001 (-0.006 to +0.010), not significant
# (`an_l64_m0` - `an_l64_m128`), and than 8 by +0.022 (+0.013 to +0.031), significant (`an_l64_m0` - `an_l64_m8`), in
# `experiments/lan_full/results/pairs.csv`.

# %% [markdown]
# ## Where should the other places come from?
#
# Background sites can be uniform on the sphere, on land, or at the records of the target group. Three data sets of
# `experiments/records_per_species` differ only in this. No table pairs different data sets, so there is no test of
# their differences here.

# %%
scores.worlds(records, "background")

# %%
scores.worlds_table(records, "background")

# %% [markdown]
# With `an_full`, sites uniform on the sphere (`cap_100`) reach 0.704 (0.686 to 0.722), sites on land (`cap_100_land`)
# 0.687 (0.669 to 0.705), and the target group (`cap_100_target_group`) 0.653 (0.632 to 0.672), in
# `experiments/records_per_species/results/comparison.csv`. This is one virtual world.

# %% [markdown]
# Other rows of the batch can take the place of background sites (`spatial: batch`).

# %%
scores.pairs(lan_full, ("full_batch_l64", "an_l64_m0"), ("full_l64", "an_l64_m0"))

# %% [markdown]
# They add +0.003 (-0.001 to +0.007), not significant (`full_batch_l64` - `an_l64_m0`). Background sites add +0.053
# (+0.038 to +0.067), significant (`full_l64` - `an_l64_m0`). Both numbers are in
# `experiments/lan_full/results/pairs.csv`. In the default study they add nothing to the mAP: `an_full`, which has
# lambda `2048`, differs from `an_l64` by -0.003 (-0.011 to +0.006), not significant, in `results/pairs.csv`.

# %% [markdown]
# ## Are the scores as large as the loss leads us to expect?
#
# Suppose that a share pi of the rows has a record of a species. The weighted cross-entropy is then smallest at a
# score of `lambda pi / (lambda pi + 1 - pi + b)`, where b is the weight of background sites without the species. This
# holds for a network that cannot tell sites apart, and training starts there (`encoder.start: balance`). The scores of
# a network that can tell sites apart are spread around this value.

# %%
runs.expected_scores(study, "bce", "assume_negative", "an_full")

# %%
runs.expected_score_table(study, "bce", "assume_negative", "an_full")

# %% [markdown]
# Losses with another lambda have scores at another level, so a threshold for one does not fit another.

# %% [markdown]
# ## Which loss needs how many records?
#
# These are three data sets of the same world, with at most 10, 100 or 1000 records per species, as in SINR's table.

# %%
scores.worlds(records, "cap", log=True)

# %%
scores.worlds_table(records, "cap")

# %% [markdown]
# With at most 10 records (`cap_10`), `an_full` is above `asl_g4_m020` by +0.008 (-0.000 to +0.017), not significant,
# and with at most 1000 (`cap_1000`) by +0.031 (+0.018 to +0.043), significant, in
# `experiments/records_per_species/results/pairs.csv`. All three losses had the same number of steps.
