# %% [markdown]
# # Asymmetric loss: does forgiving easy absences help?
#
# With presence-only records almost every pair of a site and a species is an *assumed* absence. Cross-entropy
# (`bce`) pushes all of them down. Focal loss and asymmetric loss (`asl`) spare the easy ones: by an exponent
# gamma, and by a margin below which an absence costs nothing.
#
# **Before you choose a loss by this page:** the training is short (6 epochs, Adam with `beta2: 0.999`), and this
# decides much of the order: `beta2: 0.95` alone lifts cross-entropy by +0.234 (+0.200 to +0.268), significant
# (`bce_b95` - `bce_b999` in `experiments/adam_memory/results/pairs.csv`).
#
# Tables and figures are made from the study's files; nothing is trained here. A difference is *significant* if
# its 95 % interval and its tests, corrected for all pairs of the study, say so together (`results/pairs.csv`).
# What is not in git is shown only to those who ran the study.

# %%
from presence_only.reporting.notebook import penalties, runs, scores
from presence_only.reporting.notebook.studies import beside, here

study = here()
margin = beside(study, "asl_margin")

# %% [markdown]
# ## What do the losses ask for?
#
# The figure has value and gradient of one element of the loss. An assumed absence is on the right.

# %%
penalties.penalties(study)

# %% [markdown]
# The table says how hard an assumed absence is pushed down where its score is p.

# %%
penalties.pushes(study, 0.01, 0.05, 0.2, 0.5, 0.95)

# %% [markdown]
# Up to its margin an absence is not pushed at all, and the larger gamma is, the less the easy ones are. A
# confident presence that nobody reported looks like a difficult absence, and every one of these losses pushes it
# down.

# %% [markdown]
# ## Does mAP grow with gamma and with the margin?
#
# `gamma_neg` is the exponent of absences, `clip` the margin. Losses without a margin are marked on the colour
# bar.

# %%
scores.surface(study, "asl", "gamma_neg", "clip", "bce", "focal")

# %%
scores.pairs(
    study,
    ("asl_g2_m005", "asl_g2_m000"),
    ("asl_g2_m020", "asl_g2_m000"),
    ("asl_g4_m020", "asl_g4_m000"),
    ("asl_g4_m020", "bce"),
    ("focal_g2", "bce"),
)

# %% [markdown]
# At either exponent the widest margin is above none: by +0.059 (+0.041 to +0.075), significant (`asl_g2_m020` -
# `asl_g2_m000`), and by +0.108 (+0.093 to +0.122), significant (`asl_g4_m020` - `asl_g4_m000`), in
# `results/pairs.csv`.

# %% [markdown]
# ## Is that the margin, or the short training?
#
# Losses that give absences less weight change more slowly, so a margin may only seem to matter because training
# was short. The study `experiments/asl_margin` has finer steps of the margin at 6 and at 18 epochs.

# %%
scores.sweep(margin, "clip", "asl")

# %%
scores.pairs(
    margin,
    ("m005_short", "m000_short"),
    ("m005_long", "m000_long"),
    ("m040_short", "m000_short"),
    ("m040_long", "m000_long"),
    ("m000_long", "m000_short"),
)

# %% [markdown]
# Much of it is the short training. The widest margin brings +0.157 (+0.128 to +0.183), significant, after 6
# epochs (`m040_short` - `m000_short`) and +0.055 (+0.032 to +0.079), significant, after 18 (`m040_long` -
# `m000_long`). The usual margin of `clip: 0.05` brings +0.004 (-0.005 to +0.012), not significant, after 18
# (`m005_long` - `m000_long`). Three times the training without a margin brings +0.180 (+0.156 to +0.207),
# significant (`m000_long` - `m000_short`). All are in `experiments/asl_margin/results/pairs.csv`.

# %% [markdown]
# ## Which absences are silenced as training goes on?
#
# After every epoch the encoder was asked for the scores of some training rows: how many of the unobserved pairs
# lie below a margin, and how far the scores of observed pairs stand out from the others.

# %%
runs.silencing(study, "bce", "focal", "asl")

# %%
runs.silenced(study, "bce", "focal", "asl")

# %% [markdown]
# Look for the share below a loss's own margin after the last epoch: these pairs teach nothing any more.

# %% [markdown]
# ## How do these losses compare in mAP?

# %%
scores.comparison(study, "bce", "focal", "asl")

# %%
scores.leaderboard(study, "bce", "focal", "asl")

# %% [markdown]
# After this short training the widest margin with the larger exponent is +0.245 (+0.223 to +0.270), significant,
# above plain cross-entropy (`asl_g4_m020` - `bce`). Focal loss differs from cross-entropy by -0.004 (-0.034 to
# +0.025), not significant (`focal_g2` - `bce`). Both are in `results/pairs.csv`.

# %% [markdown]
# ## Where along the list of sites do they differ?
#
# The figure has the mean over species of the precision at each recall.

# %%
runs.precision_recall(study, "bce", "focal", "asl")

# %% [markdown]
# Compare the curves at the left end, where a user takes the few best sites, and at the right end, where hardly a
# presence may be missed.

# %% [markdown]
# ## What is a score worth?
#
# A score is relative suitability and no probability of presence. The curve shows what it is worth on this survey;
# the grey line is where it would be a probability.

# %%
runs.calibration(study, "bce", "focal", "asl")

# %%
runs.calibration_errors(study, "bce", "focal", "asl")

# %% [markdown]
# A curve below the grey line means scores that are too high. No loss of this page is trained to be calibrated on
# a survey.

# %% [markdown]
# ## For which species?
#
# Species stand in three groups of about equal size, by how many of the survey's sites they live at. Average
# precision grows with prevalence by itself, so compare losses within a group.

# %%
runs.by_prevalence(study, "bce", "focal", "asl")

# %% [markdown]
# A loss that is ahead in one group alone would be a loss for such species; `results/report.html` has more groups,
# and the table.
