# %% [markdown]
# # Asymmetric loss: does it help to ignore easy absences?
#
# With presence-only records, almost every pair of a site and a species is an *assumed* absence. Cross-entropy (`bce`)
# pushes the scores of all these pairs down. Focal loss and the asymmetric loss (`asl`) push less on easy absences,
# whose scores are low already. They use an exponent gamma; the asymmetric loss also has a margin, and an absence with a
# score below it costs nothing.
#
# All losses on this page count these pairs as absences. The forms that end in `_background` also count all species at
# random sites as absent.
#
# **Before you choose a loss by this page:** no loss was tuned in these worlds. All have one learning rate, and one
# length: 20 epochs in the default study and 12 epochs in `experiments/lambda_m_margin`. Each study has four virtual
# worlds of 200 species. The default study has published settings; only those of the asymmetric loss with random sites
# were chosen, by held-out records. `experiments/fair` tunes every loss with the same effort in worlds of two kinds, and
# `docs/answer.md` argues its answer. An earlier version of this page found that a wide margin raises the mAP; that
# claim is withdrawn (`experiments/README.md`).
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
# `experiments/lambda_m_margin` crosses two exponents with four margins, up to `clip: 0.4`. `gamma_neg` is the exponent
# for absences and `clip` is the margin. In the names, `g2` is the exponent 2, `m005` the margin `0.05` and `m000` no
# margin.

# %%
scores.surface(margins, "asl", "gamma_neg", "clip")

# %%
scores.sweep(margins, "clip", "asl")

# %%
scores.pairs(
    margins,
    ("asl_g2_m005", "asl_g2_m000"),
    ("asl_g2_m020", "asl_g2_m000"),
    ("asl_g2_m040", "asl_g2_m000"),
    ("asl_g4_m005", "asl_g4_m000"),
    ("asl_g4_m040", "asl_g4_m000"),
    ("asl_g4_m000", "asl_g2_m000"),
)

# %% [markdown]
# No. The usual margin of `clip: 0.05` changes the mAP by +0.001 (-0.007 to +0.009), not significant, practically equal
# (`asl_g2_m005` - `asl_g2_m000`). The widest margin changes it by -0.013 (-0.036 to +0.010), not significant
# (`asl_g2_m040` - `asl_g2_m000`) at the exponent 2, and by -0.005 (-0.014 to +0.004), not significant (`asl_g4_m040` -
# `asl_g4_m000`) at 4. The larger exponent itself changes it by -0.005 (-0.012 to +0.003), not significant
# (`asl_g4_m000` - `asl_g2_m000`). All numbers are in `experiments/lambda_m_margin/results/across_pairs.csv`.
#
# In the default study, which trains for 20 epochs, a wider margin does not help either. Margin `0.2` in place of `0.05`
# changes the mAP by -0.006 (-0.017 to +0.005), not significant (`asl_g2_m020` - `asl_g2_m005`), in
# `results/across_pairs.csv`.

# %% [markdown]
# ## Which absences stop contributing during training?
#
# After every epoch, the scores of some training rows were recorded. The figure shows two things: the share of
# unobserved pairs with a score below a margin, and the distance between the mean scores of observed and unobserved
# pairs. The left panel has the margin `0.05` and the middle one the margin `0.2`.

# %%
runs.silencing(study, "bce", "focal", "asl")

# %%
runs.silenced(study, "bce", "focal", "asl")

# %% [markdown]
# Look at the share below a loss's own margin, `0.05` or `0.2`: these pairs no longer contribute to the gradient. After
# the first epoch they are already about two thirds of all unobserved pairs or more, and after the last one about nine
# in ten. So a margin ends the learning from most absences early. Plain cross-entropy has even more pairs with a low
# score, but it has no margin and goes on pushing them down.

# %% [markdown]
# ## How do these losses compare in mAP?

# %%
scores.comparison(study, "bce", "focal", "asl")

# %%
scores.leaderboard(study, "bce", "focal", "asl")

# %% [markdown]
# Without random sites they hardly differ. Focal loss changes the mAP of plain cross-entropy by +0.004 (-0.005 to
# +0.013), not significant (`focal_g2` - `bce`). The asymmetric loss changes it by +0.001 (-0.009 to +0.010), not
# significant (`asl_g2_m005` - `bce`) with its usual margin, and by -0.005 (-0.019 to +0.009), not significant
# (`asl_g2_m020` - `bce`) with a wide one. All numbers are in `results/across_pairs.csv`. The two forms with random
# sites are above all others.

# %% [markdown]
# ## What do random sites change?
#
# `bce_background` is plain cross-entropy with random sites. `asl_background` is the asymmetric loss with random sites,
# exponent 5 and margin `clip: 0.2`.

# %%
scores.pairs(
    study,
    ("bce_background", "bce"),
    ("asl_background", "asl_g2_m020"),
    ("asl_background", "bce_background"),
)

# %% [markdown]
# Random sites change the mAP more than exponent and margin do. They add +0.041 (+0.021 to +0.061), not significant to
# plain cross-entropy (`bce_background` - `bce`), in all four worlds. `asl_background` is above the asymmetric loss
# without them by +0.051 (+0.031 to +0.070), not significant (`asl_background` - `asl_g2_m020`), also in all four; these
# two have different exponents, too. These numbers are in `results/across_pairs.csv`. The correction for all pairs of 14
# variants is strict with four worlds.
#
# With random sites, the asymmetric loss and plain cross-entropy are practically equal. `asl_background` is higher in
# all four worlds, but only by +0.004 (+0.001 to +0.007), not significant, practically equal (`asl_background` -
# `bce_background`), in `results/across_pairs.csv`.

# %% [markdown]
# ## Where in the ranked list of sites do they differ?
#
# The figure shows the precision at each recall, as the mean over species.

# %%
runs.precision_recall(study, "bce", "focal", "asl")

# %% [markdown]
# The forms with random sites are more precise at almost every recall. The distance is largest at the left end, which
# matters if you take only the few best sites. At the right end all curves meet. It matters if you must miss hardly any
# presence. Without random sites, the curves of all losses lie close together.

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
# Below the grey line the scores are too high, and above it they are too low. The scores of plain cross-entropy are too
# low, with and without random sites. A larger exponent and a wider margin raise them: those of `asl_g2_m020` and of
# `asl_background` are too high on average. Losses that rank sites alike differ here. No loss on this page is trained to
# be calibrated on a survey.

# %% [markdown]
# ## For which species does the loss matter?
#
# The species of all worlds are divided into three groups of about equal size, by the number of survey sites where they
# are present. Average precision grows with prevalence by itself, so compare losses only within a group.

# %%
runs.by_prevalence(study, "bce", "focal", "asl")

# %% [markdown]
# Random sites raise the mAP in all three groups, and most for the rarest species. Within a group, the losses without
# random sites lie close together. So no group of species asks for another choice here. `results/report.html` has more
# groups and the table.
