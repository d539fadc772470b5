# %% [markdown]
# # Asymmetric loss: does it help to ignore easy absences?
#
# With presence-only records, almost every pair of a site and a species is an *assumed* absence. Cross-entropy (`bce`)
# pushes the scores of all these pairs down. Focal loss and the asymmetric loss (`asl`) push less on easy absences,
# whose scores are low already. They use an exponent gamma; the asymmetric loss also has a margin, and an absence with a
# score below it costs nothing.
#
# **Before you choose a loss by this page:** no loss was tuned. All have one learning rate and one length, in five
# virtual worlds of 200 species. A comparison in which every loss is tuned with the same effort is being run
# (`experiments/fair`). An earlier version of this page found that a wide margin raises the mAP; that claim is withdrawn
# (`experiments/README.md`).
#
# The tables and figures come from the files of the studies; this page trains nothing. A mean is over data sets, and its
# interval is that of the mean over all worlds of this kind. A difference is *significant* if its 95 % interval and its
# test, corrected for all pairs of the study, agree (`results/across_pairs.csv`), and *practically equal* if the whole
# interval lies within one point of 0. Some figures need files that are not in git. They appear only if you have run the
# study, and take all worlds together.

# %%
from presence_only.reporting.notebook import penalties, runs, scores
from presence_only.reporting.notebook.studies import beside, here

study = here()
margins = beside(study, "lambda_m_margin")

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
# An absence below the margin has no gradient. A larger gamma makes the gradient on easy absences smaller. A pair with a
# high score but without a record looks like a difficult absence, even if the species is there. Every one of these
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
# No. A margin of `clip: 0.05` changes the mAP by -0.002 (-0.005 to +0.001), not significant, practically equal
# (`asl_g2_m005` - `asl_g2_m000`). The widest margin here changes it by -0.009 (-0.012 to -0.006), not significant
# (`asl_g2_m020` - `asl_g2_m000`), lower in all five worlds, and at the larger exponent by -0.006 (-0.019 to +0.007),
# not significant (`asl_g4_m020` - `asl_g4_m000`). The larger exponent itself changes it by +0.001 (-0.006 to +0.007),
# not significant, practically equal (`asl_g4_m000` - `asl_g2_m000`). All numbers are in `results/across_pairs.csv`.

# %% [markdown]
# ## And a wider margin?
#
# `experiments/lambda_m_margin` goes up to a margin of `clip: 0.4`, in four other worlds.

# %%
scores.sweep(margins, "clip", "asl")

# %%
scores.pairs(
    margins,
    ("asl_g2_m005", "asl_g2_m000"),
    ("asl_g2_m020", "asl_g2_m000"),
    ("asl_g2_m040", "asl_g2_m000"),
    ("asl_g4_m005", "asl_g4_m000"),
    ("asl_g4_m020", "asl_g4_m000"),
    ("asl_g4_m040", "asl_g4_m000"),
)

# %% [markdown]
# Neither does a wider one. At the exponent 2, a margin of `clip: 0.4` changes the mAP by -0.013 (-0.036 to +0.010), not
# significant (`asl_g2_m040` - `asl_g2_m000`), and at 4 by -0.005 (-0.014 to +0.004), not significant (`asl_g4_m040` -
# `asl_g4_m000`). The usual margin of `clip: 0.05` changes it by +0.001 (-0.007 to +0.009), not significant, practically
# equal (`asl_g2_m005` - `asl_g2_m000`). All numbers are in `experiments/lambda_m_margin/results/across_pairs.csv`.

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
# Every species starts at the balance of its loss, where hardly a pair is above a margin, so a margin ends the learning
# from most absences early.

# %% [markdown]
# ## How do these losses compare in mAP?

# %%
scores.comparison(study, "bce", "focal", "asl")

# %%
scores.leaderboard(study, "bce", "focal", "asl")

# %% [markdown]
# They hardly differ. Focal loss is a little above plain cross-entropy in all five worlds, by +0.007 (+0.002 to +0.013),
# not significant (`focal_g2` - `bce`), and the asymmetric loss without a margin by +0.006 (-0.003 to +0.014), not
# significant (`asl_g2_m000` - `bce`). What changes the mAP are two other things: a weight of presences by inverse
# prevalence, by -0.067 (-0.079 to -0.056), significant (`bce_weighted` - `bce`), and background sites, by +0.047
# (+0.034 to +0.061), not significant (`bce_background` - `bce`). All numbers are in `results/across_pairs.csv`.

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
# sites with a given score in the survey. On the grey line a score would equal the probability.

# %%
runs.calibration(study, "bce", "focal", "asl")

# %%
runs.calibration_errors(study, "bce", "focal", "asl")

# %% [markdown]
# Below the grey line, the scores are too high. Losses that rank sites alike differ here: an exponent, a margin or a
# weight of presences moves the level of the scores. No loss on this page is trained to be calibrated on a survey.

# %% [markdown]
# ## For which species does the loss matter?
#
# The species of all worlds are divided into three groups of about equal size, by the number of survey sites where they
# are present. Average precision grows with prevalence by itself, so compare losses only within a group.

# %%
runs.by_prevalence(study, "bce", "focal", "asl")

# %% [markdown]
# A loss that has the highest score in one group only would be a choice for such species only. `results/report.html` has
# more groups and the table.
