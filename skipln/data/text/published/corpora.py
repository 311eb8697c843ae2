"""WMT14 En-De and IWSLT15 En-Vi: where their corpora are, what the files are called and how many lines they have.

Checksums are those published by TensorFlow Datasets (sha256, in its url_checksums), sacreBLEU and PaddleNLP (md5);
None if nobody publishes one. Line counts are None if no source was found.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from skipln.data.text.published.download import Remote


@dataclass(frozen=True)
class Origin:
    """An archive or plain file with sides of a corpus. `members`: language -> the possible names of its member."""

    remote: Remote
    members: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Corpus:
    """A parallel corpus. `origins`: alternatives; the origins of one together have all languages. `wrong`: line
    counts that show what went wrong."""

    name: str
    origins: tuple[tuple[Origin, ...], ...]
    lines: int | None = None
    wrong: Mapping[int, str] | None = None


@dataclass(frozen=True)
class Recipe:
    """How a data set is made. `tokenise`: True: by Moses; False: the text comes tokenised and is scored as it is."""

    name: str
    languages: tuple[str, str]
    train: tuple[Corpus, ...]
    valid: Corpus
    test: Corpus
    tokenise: bool
    merges: int
    max_ratio: float = 1.5  # tokens of the longer side over those of the shorter, after BPE
    max_tokens: int = 250  # of a side, after BPE


def _statmt(path: str, host: str = "www.statmt.org") -> tuple[str, ...]:
    return (f"https://{host}/{path}", f"http://{host}/{path}", f"https://{host.removeprefix('www.')}/{path}")


def _parts(stem: str, folder: str = "training/") -> dict[str, tuple[str, ...]]:
    return {language: (f"{folder}{stem}.{language}", f"{stem}.{language}") for language in ("en", "de")}


EUROPARL = Corpus(
    "europarl-v7",
    origins=(
        (
            Origin(
                Remote(
                    "training-parallel-europarl-v7.tgz",
                    _statmt("wmt13/training-parallel-europarl-v7.tgz"),
                    "sha256:0224c7c710c8a063dfd893b0cc0830202d61f4c75c17eb8e31836103d27d96e7",
                ),
                _parts("europarl-v7.de-en"),
            ),
        ),
        (Origin(Remote("de-en.tgz", _statmt("europarl/v7/de-en.tgz")), _parts("europarl-v7.de-en", "")),),
    ),
    lines=1_920_209,
)
COMMON_CRAWL = Corpus(
    "commoncrawl",
    origins=(
        (
            Origin(
                Remote(
                    "training-parallel-commoncrawl.tgz",
                    _statmt("wmt13/training-parallel-commoncrawl.tgz"),
                    "sha256:c7a74e2ea01ac6c920123108627e35278d4ccb5701e15428ffa34de86fa3a9e5",
                ),
                _parts("commoncrawl.de-en", ""),
            ),
        ),
    ),
    lines=2_399_123,
)


def _news_commentary(version: str, urls: tuple[str, ...], sha256: str, lines: int | None) -> Corpus:
    name = f"training-parallel-nc-{version}"
    members = _parts(f"news-commentary-{version}.de-en")
    members = {language: (*names, f"{name}/{names[1]}") for language, names in members.items()}
    remote = Remote(f"{name}.tgz", urls, f"sha256:{sha256}")
    return Corpus(f"news-commentary-{version}", ((Origin(remote, members),),), lines)


# v9 is WMT14's own; fairseq's recipe (which Ott et al. 2018 cite) uses v12, tensor2tensor's later one v13.
NEWS_COMMENTARY = {
    "v9": _news_commentary(
        "v9",
        _statmt("wmt14/training-parallel-nc-v9.tgz"),
        "cb8953f292298e6877ae433c98912b927cb0766b303f4540512ddd286c748485",
        201_288,
    ),
    "v12": _news_commentary(
        "v12",
        _statmt("wmt17/translation-task/training-parallel-nc-v12.tgz", "data.statmt.org"),
        "2b45f30ef1d550d302fd17dd3a5cbe19134ccc4c2cf50c2dae534aee600101a2",
        None,
    ),
    "v13": _news_commentary(
        "v13",
        _statmt("wmt18/translation-task/training-parallel-nc-v13.tgz", "data.statmt.org"),
        "17992b7e919cfb754c60f4e754148bc23b80706ad0ed7b34150831a554b40c91",
        None,
    ),
}

_DEV = {
    "en": ("dev/newstest2013-src.en.sgm", "dev/newstest2013.en"),
    "de": ("dev/newstest2013-ref.de.sgm", "dev/newstest2013.de"),
}
NEWSTEST2013 = Corpus(
    "newstest2013",
    origins=(
        (
            Origin(
                Remote(
                    "dev.tgz",
                    _statmt("wmt19/translation-task/dev.tgz", "data.statmt.org"),
                    "sha256:7a7deccf82ebb05ba508dba5eb21356492224e8f630ec4f992132b029b4b25e7",
                ),
                _DEV,
            ),
        ),
        (Origin(Remote("wmt14-dev.tgz", _statmt("wmt14/dev.tgz")), _DEV),),
    ),
    lines=3000,
)
NEWSTEST2014 = Corpus(
    "newstest2014",
    origins=(
        (
            Origin(
                Remote("test-full.tgz", _statmt("wmt14/test-full.tgz"), "md5:a8cd784e006feb32ac6f3d9ec7eb389a"),
                {
                    "en": ("test-full/newstest2014-deen-src.en.sgm",),
                    "de": ("test-full/newstest2014-deen-ref.de.sgm",),
                },
            ),
        ),
    ),
    lines=3003,
    wrong={
        2737: "that is test-filtered.tgz, the set of WMT14's evaluation week, on which BLEU is different: "
        "papers score the full set of 3,003, test-full.tgz"
    },
)


def wmt14_en_de(news_commentary: str = "v9", merges: int = 37_000) -> Recipe:
    """Vaswani et al. 2017: about 4.5M pairs and a joint BPE of 37k, tokenised and cleaned as in fairseq's recipe."""
    train = (EUROPARL, COMMON_CRAWL, NEWS_COMMENTARY[news_commentary])
    return Recipe("wmt14_en_de", ("en", "de"), train, NEWSTEST2013, NEWSTEST2014, tokenise=True, merges=merges)


def _iwslt(split: str, archive: str, lines: int) -> Corpus:
    stanford = "nlp.stanford.edu/projects/nmt/data/iwslt15.en-vi"
    plain = tuple(
        Origin(
            Remote(f"{split}.{language}", (f"https://{stanford}/{split}.{language}",)),
            {language: (f"{split}.{language}",)},
        )
        for language in ("en", "vi")
    )
    github = Remote(archive, (f"https://raw.githubusercontent.com/stefan-it/nmt-en-vi/master/data/{archive}",))
    paddle = Remote(
        "iwslt15.en-vi.tar.gz",
        ("https://paddlenlp.bj.bcebos.com/datasets/iwslt15.en-vi.tar.gz",),
        "md5:aca22dc3f90962e42916dbb36d8f3e8e",
    )
    return Corpus(
        split,
        origins=(
            plain,
            (Origin(github, {language: (f"{split}.{language}",) for language in ("en", "vi")}),),
            (Origin(paddle, {language: (f"iwslt15.en-vi/{split}.{language}",) for language in ("en", "vi")}),),
        ),
        lines=lines,
    )


def iwslt15_en_vi(merges: int = 8000) -> Recipe:
    """Luong & Manning's TED talks as Stanford prepared and tokenised them; BPE 8k (Nguyen & Salazar 2019)."""
    train = _iwslt("train", "train-en-vi.tgz", 133_317)
    valid, test = _iwslt("tst2012", "dev-2012-en-vi.tgz", 1553), _iwslt("tst2013", "test-2013-en-vi.tgz", 1268)
    # Vietnamese is written syllable by syllable and has half as many words again as English, so the ratio is Moses'
    # default, 9.
    return Recipe("iwslt15_en_vi", ("en", "vi"), (train,), valid, test, tokenise=False, merges=merges, max_ratio=9.0)
