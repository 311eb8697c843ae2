"""Tasks: what a net learns, and how it is tested."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from skipln.configuration.schema.node import Node, Rate

MOST_BEAM = 1024  # each hypothesis keeps its own state, and with hundreds translations become worse
MOST_EXTRA_LENGTH = 10_000  # a search that does not end goes on for as many tokens
MOST_PENALTY = 100  # a power of the output's length, which has to remain a number


class Translation(Node):
    name: Literal["translation"]
    label_smoothing: Rate
    """Share of the probability spread evenly over all words (ε of Szegedy et al. 2016)."""
    beam: Annotated[int, Field(ge=1, le=MOST_BEAM)]
    """Hypotheses that beam search keeps."""
    length_penalty: Annotated[float, Field(ge=0, le=MOST_PENALTY)]
    """The length penalty's α; 0: none."""
    penalty: Literal["gnmt", "power"]
    """gnmt: ((5 + length) / 6)^α; power: length^α, fairseq's."""
    extra_length: Annotated[int, Field(ge=1, le=MOST_EXTRA_LENGTH)]
    """Tokens by which an output may exceed the source's length."""
    valid_sentences: NonNegativeInt
    """Validation sentences translated greedily for the BLEU curve; 0: none."""
    test_sentences: NonNegativeInt
    """Test sentences translated; 0: all of them, as for every reported number."""
    start: Literal["bos", "eos"] = "bos"
    """First symbol of a target; eos is fairseq's."""
    tokeniser: Literal[
        "auto", "13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "none", "flores101", "flores200", "spBLEU-1K"
    ] = "auto"
    """sacreBLEU's tokeniser for BLEU; auto: the target language's."""
    decode_precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of beam search's products: factors in fp32, or rounded to bf16; sums in fp32."""
    by_length: bool = False
    """Also give BLEU of the shorter and the longer half of the test sentences, by the words of the source."""
    test: bool = True
    """Read the test set at the end; false in a search for a learning rate."""


class Classification(Node):
    name: Literal["classification"]
    label_smoothing: Rate
    """Share of the probability spread evenly over all classes."""
    test: bool = True
    """Read the test set at the end; false in a search for a learning rate."""


class TransferAttack(Node):
    name: Literal["transfer_attack"]
    method: Literal["pgd", "mi_fgsm"]
    """The sign of the gradient (Madry et al. 2018), or of its decaying sum (Dong et al. 2018)."""
    gamma: Annotated[float, Field(gt=0, le=1)]
    """The skip gradient method's γ, which scales the gradient through a branch; 1: the plain gradient."""
    epsilon: PositiveFloat
    """Largest change of a pixel, in units of 1/255."""
    step: PositiveFloat
    """Change of a pixel in one step, in units of 1/255."""
    steps: PositiveInt
    """Number of steps; there is no random start."""
    decay: NonNegativeFloat
    """MI-FGSM's μ."""
    test_images: NonNegativeInt
    """Test images attacked; 0: all of them."""

    @property
    def test(self) -> bool:
        """An attack always reads the test set."""
        return True
