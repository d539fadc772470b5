import pytest

from presence_only.common.settings import SettingsError
from presence_only.model.settings import EncoderSettings
from presence_only.training.settings import TrainingSettings
from presence_only.training.variant import Variant

ENCODER = EncoderSettings(width=16, depth=1)
TRAINING = TrainingSettings(epochs=2, batch_size=128)


def parse(**raw):
    return Variant.parse({"loss": "bce"} | raw, "variants.v", ENCODER, TRAINING)


def test_it_has_the_studys_settings():
    variant = parse(pos_weight=True)
    assert (variant.loss.loss, variant.loss.pos_weight) == ("bce", True)
    assert (variant.encoder, variant.training, variant.members) == (ENCODER, TRAINING, ())


def test_it_may_replace_single_settings_of_encoder_and_training():
    variant = parse(encoder={"input": "both", "expansion": "rank"}, training={"learning_rate": 0.5})
    assert variant.encoder == ENCODER.model_copy(update={"input": "both", "expansion": "rank"})
    assert variant.training == TRAINING.model_copy(update={"learning_rate": 0.5})


@pytest.mark.parametrize("length", [{"steps": 7}, {"epochs": None, "steps": 7}])
def test_a_length_of_its_own_replaces_the_studys(length):
    variant = parse(training=length)
    assert (variant.training.epochs, variant.training.steps, variant.training.batch_size) == (None, 7, 128)


def test_another_optimizer_does_not_inherit_what_it_does_not_have():
    with_memory = TrainingSettings(beta2=0.999, weight_decay=0.1)
    raw = {"loss": "bce", "training": {"optimizer": "sgd"}}
    training = Variant.parse(raw, "v", ENCODER, with_memory).training
    assert training == TrainingSettings(optimizer="sgd", weight_decay=0.1)
    raw = {"loss": "bce", "training": {"optimizer": "rmsprop"}}
    assert Variant.parse(raw, "v", ENCODER, with_memory).training.beta2 == 0.999
    with_momentum = TrainingSettings(optimizer="sgd", momentum=0.5)
    raw = {"loss": "bce", "training": {"optimizer": "adam"}}
    assert Variant.parse(raw, "v", ENCODER, with_momentum).training == TrainingSettings()


def test_members_inherit_the_variant_and_replace_some_of_it():
    members = [
        {"encoder": {"width": 4}},
        {"loss": "focal", "encoder": {"input": "covariates"}, "training": {"learning_rate": 0.5}},
    ]
    first, second = parse(encoder={"depth": 3}, pos_weight=True, members=members[:1] * 2).members
    assert first == second
    assert (first.loss.loss, first.loss.pos_weight, first.encoder.width, first.encoder.depth) == ("bce", True, 4, 3)
    _, second = parse(encoder={"depth": 3}, members=members).members
    assert (second.loss.loss, second.encoder.width, second.encoder.depth) == ("focal", 16, 3)
    assert (second.encoder.input, second.training.learning_rate, second.training.epochs) == ("covariates", 0.5, 2)


def test_every_setting_is_written_out():
    variant = parse(members=[{}, {"encoder": {"input": "both"}}])
    written = variant.resolved()
    assert written["loss"] == "bce"
    assert written["encoder"] == ENCODER.model_dump()
    assert [member["encoder"]["input"] for member in written["members"]] == ["coordinates", "both"]
    again = parse(**{key: value for key, value in written.items() if key != "loss"})
    assert again.resolved() == written


HABITAT = {"loss": "multitask", "habitat_weight": 0.5}


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({"loss": "bcee"}, "unknown loss 'bcee' in variants.v; known: "),
        ({"lambda": 2}, "unknown key 'lambda' in variants.v; known: "),
        ({"encoder": {"widht": 2}}, "unknown key 'widht' in variants.v.encoder; known: "),
        ({"encoder": {"expansion": "rank"}}, "variants.v.encoder: must be settings with input 'covariates' or 'both'"),
        ({"training": 3}, "variants.v.training = 3: must be a mapping of settings"),
        ({"training": {"epochs": 2, "steps": 5}}, "variants.v.training: must be settings with either epochs or steps"),
        (
            {"training": {"optimizer": "sgd", "beta2": 0.999}},
            "variants.v.training: must be settings with beta2 0.95, the default, if optimizer is 'sgd', which has "
            "none; beta2 is 0.999",
        ),
        (
            {"training": {"optimizer": "rmsprop", "momentum": 0.5}},
            "settings with momentum 0.9, the default, if optimizer is 'rmsprop', which has none; momentum is 0.5",
        ),
        ({"members": [{}]}, "variants.v.members = [{}]: must be a list of two or more groups of settings"),
        ({"members": {}}, "variants.v.members = {}: must be a list of two or more groups of settings"),
        ({"members": [{}, 3]}, "variants.v.members = [{}, 3]: must be a list of two or more groups of settings"),
        ({"members": [{}, {"encoder": {"widht": 2}}]}, "unknown key 'widht' in variants.v.members[1].encoder; known: "),
        ({"members": [{"loss": "bcee"}, {}]}, "unknown loss 'bcee' in variants.v.members[0]; known: "),
        ({"encoder": {"environment_head": True}}, "loss 'bce' with encoder.environment_head = True: must be true for"),
        ({"loss": "multitask"}, "loss 'multitask' with encoder.environment_head = False: must be true for a loss"),
        (
            HABITAT | {"encoder": {"environment_head": True}},
            "loss 'multitask' trains a habitat head; needs encoder.habitat_head: true",
        ),
    ],
)
def test_a_mistake_is_one_sentence(raw, sentence):
    with pytest.raises(SettingsError) as caught:
        parse(**raw)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
