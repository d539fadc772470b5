# %% [markdown]
# # Asymmetric loss: does it help to ignore easy absences?
#
# With presence-only records, almost every pair of a site and a species is an *assumed* absence. Cross-entropy (`bce`)
# pushes the scores of all these pairs down. Focal loss and the asymmetric loss (`asl`) push less on easy absences,
# whose scores are low already. They use an exponent gamma; the asymmetric loss also has a margin, and an absence with
# a score below it costs nothing.
#
# **Before you choose a loss by this page:** the default study starts every species at the balance of its loss, with
# `beta2: 0.95` and 12 epochs. The study of the margin below is older. It starts every species at the score one half
# (`start: zero`), with `beta2: 0.999`, and this decides much of its order. With that start, `beta2: 0.95` alone raises
# the mAP of cross-entropy by +0.234 (+0.200 to +0.268), significant (`bce_b95` - `bce_b999` in
# `experiments/adam_memory/results/pairs.csv`).
#
# The tables and figures come from the files of the study; this page trains nothing. A difference is *significant* if
# its 95 % interval and its tests, corrected for all pairs of the study, agree (`results/pairs.csv`). Some figures
# need files that are not in git. They appear only if you have run the study.

# %%
from presence_only.reporting.notebook import penalties, runs, scores
from presence_only.reporting.notebook.studies import beside, here

study = here()
margin = beside(study, "asl_margin")

# %% [markdown]
# ## What does each loss penalise?
#
# The figure shows value and gradient of the loss for one pair. Assumed absences are on the right.

# %%
penalties.penalties(study)

# %% [markdown]
# The table gives the gradient on an assumed absence with the predicted score p.

# %%
penalties.pushes(study, 0.01, 0.05, 0.2, 0.5, 0.95)

# %% [markdown]
# An absence below the margin has no gradient. A larger gamma makes the gradient on easy absences smaller. A pair with
# a high score but without a record looks like a difficult absence, even if the species is there. Every one of these
# losses pushes its score down.

# %% [markdown]
# ## Does mAP grow with gamma and with the margin?
#
# `gamma_neg` is the exponent for absences and `clip` is the margin. Losses without a margin are marked on the colour
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
# No. The widest margin changes the mAP at both exponents a little: by -0.014 (-0.026 to -0.003), not significant
# (`asl_g2_m020` - `asl_g2_m000`), and by -0.010 (-0.015 to -0.004), significant (`asl_g4_m020` - `asl_g4_m000`). The
# usual margin of `clip: 0.05` changes it by -0.001 (-0.006 to +0.003), not significant (`asl_g2_m005` -
# `asl_g2_m000`). All numbers are in `results/pairs.csv`.

# %% [markdown]
# ## Why did an earlier study find that a margin helps?
#
# Losses that give absences different weights recover from a bad start at different speeds. The study
# `experiments/asl_margin` starts every species at the score one half. It has finer steps of the margin, at 6 and at 18
# epochs.

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
# Much of that gain comes from the start and the short training. After 6 epochs the widest margin adds +0.157 (+0.128
# to +0.183), significant (`m040_short` - `m000_short`). After 18 epochs it adds +0.055 (+0.032 to +0.079),
# significant (`m040_long` - `m000_long`). The usual margin of `clip: 0.05` adds +0.004 (-0.005 to +0.012), not
# significant, after 18 epochs (`m005_long` - `m000_long`). Three times the training without a margin adds +0.180
# (+0.156 to +0.207), significant (`m000_long` - `m000_short`). All numbers are in
# `experiments/asl_margin/results/pairs.csv`.

# %% [markdown]
# ## Which absences stop contributing during training?
#
# After every epoch, the scores of some training rows were recorded. The figure shows two things: the share of
# unobserved pairs with a score below a margin, and the distance between the mean scores of observed and unobserved
# pairs.

# %%
runs.silencing(study, "bce", "focal", "asl")

# %%
runs.silenced(study, "bce", "focal", "asl")

# %% [markdown]
# Look at the share below a loss's own margin after the last epoch. These pairs no longer contribute to the gradient.

# %% [markdown]
# ## How do these losses compare in mAP?

# %%
scores.comparison(study, "bce", "focal", "asl")

# %%
scores.leaderboard(study, "bce", "focal", "asl")

# %% [markdown]
# They hardly differ. The asymmetric loss without a margin differs from plain cross-entropy by +0.004 (-0.004 to
# +0.013), not significant (`asl_g2_m000` - `bce`), and focal loss by +0.001 (-0.007 to +0.010), not significant
# (`focal_g2` - `bce`). Only a weight of presences by inverse prevalence matters: it changes the mAP by -0.067 (-0.080
# to -0.055), significant (`bce_weighted` - `bce`). All numbers are in `results/pairs.csv`.

# %% [markdown]
# ## Where in the ranked list of sites do they differ?
#
# The figure shows the precision at each recall, as the mean over species.

# %%
runs.precision_recall(study, "bce", "focal", "asl")

# %% [markdown]
# Compare the curves at both ends. The left end matters if you take only the few best sites. The right end matters if
# you must miss hardly any presence.

# %% [markdown]
# ## What does a score mean?
#
# A score is relative suitability and not a probability of presence. The curve shows how often a species is present at
# sites with a given score in this survey. On the grey line a score would equal the probability.

# %%
runs.calibration(study, "bce", "focal", "asl")

# %%
runs.calibration_errors(study, "bce", "focal", "asl")

# %% [markdown]
# Below the grey line, the scores are too high. No loss on this page is trained to be calibrated on a survey.

# %% [markdown]
# ## For which species does the loss matter?
#
# The species are divided into three groups of about equal size, by the number of survey sites where they are present.
# Average precision grows with prevalence by itself, so compare losses only within a group.

# %%
runs.by_prevalence(study, "bce", "focal", "asl")

# %% [markdown]
# A loss that has the highest score in one group only would be a choice for such species only. `results/report.html`
# has more groups and the table.
