"""CTranslate2 as a peer: our weights in its format, with its own beam search."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from skipln.interop.ctranslate2 import SPECIAL, save_model
from skipln.models.transformer import Transformer

POSITIONS = 1024


def ctranslate2_search(
    ours: Transformer, compute: str, beam: int, extra_length: int
) -> Callable[[list[list[int]]], list[list[int]]]:
    """Sources (our token ids) -> best translations, by as many one-thread workers as torch has threads.

    ours: a post-LN model. compute: CTranslate2's arithmetic, "float32" or "int8".
    """
    import ctranslate2

    threads = torch.get_num_threads()  # CTranslate2 changes OpenMP's number for the whole process
    pieces = [*SPECIAL, *map(str, range(len(SPECIAL), ours.embedding.num_embeddings))]
    with TemporaryDirectory() as folder:
        save_model(ours, "post", pieces, Path(folder), start="<s>", positions=POSITIONS)
        translator = ctranslate2.Translator(folder, compute_type=compute, inter_threads=threads, intra_threads=1)
    torch.set_num_threads(threads)
    ids = {piece: i for i, piece in enumerate(pieces)}

    def translate(sources: list[list[int]]) -> list[list[int]]:
        found = translator.translate_batch(
            [[pieces[i] for i in source] for source in sources],
            beam_size=beam,
            length_penalty=1,
            max_decoding_length=max(map(len, sources)) + extra_length,
            max_batch_size=64,
        )
        torch.set_num_threads(threads)
        return [[ids[piece] for piece in result.hypotheses[0]] for result in found]

    return translate
