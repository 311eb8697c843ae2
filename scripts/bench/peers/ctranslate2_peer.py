"""CTranslate2 as a peer: our weights through its own converter from fairseq, its own beam search."""

from collections.abc import Callable
from tempfile import TemporaryDirectory
from typing import Any

import torch

from scripts.bench.peers.fairseq_peer import FairseqPeer
from skipln.models.transformer import Transformer, TransformerShape


def ctranslate2_search(
    ours: Transformer, shape: TransformerShape, compute: str, beam: int, extra_length: int
) -> Callable[[list[list[int]]], list[list[int]]]:
    """Sources of our ids -> best translations, by as many one-thread workers as torch has threads.

    compute: its arithmetic, "float32" or "int8".
    """
    import ctranslate2
    from ctranslate2.converters import fairseq as converter

    threads = torch.get_num_threads()  # CTranslate2 sets OpenMP's number for the whole process
    peer = FairseqPeer(ours.embedding.num_embeddings, shape)
    peer.load(ours)
    with torch.no_grad():
        spec: Any = ctranslate2.specs.TransformerSpec.from_config(
            (shape.encoder_layers, shape.decoder_layers), shape.heads, pre_norm=False
        )
        model = peer.model.requires_grad_(False)
        converter.set_transformer_encoder(spec.encoder, model.encoder)
        converter.set_transformer_decoder(spec.decoder, model.decoder)
    symbols = ["<s>", "<blank>", "</s>", "<unk>", *peer.task.source_dictionary.symbols[4:]]
    spec.register_source_vocabulary(symbols)
    spec.register_target_vocabulary(symbols)
    spec.config.decoder_start_token = spec.config.bos_token  # our decoder starts with <s>
    spec.config.add_source_eos = True
    spec.validate()
    spec.optimize()
    with TemporaryDirectory() as folder:
        spec.save(folder)
        translator = ctranslate2.Translator(
            folder, compute_type=compute, inter_threads=torch.get_num_threads(), intra_threads=1
        )
    torch.set_num_threads(threads)
    ids = {symbol: i for i, symbol in enumerate(symbols)}

    def translate(sources: list[list[int]]) -> list[list[int]]:
        words = [[symbols[3] if i == 1 else symbols[i] for i in source] for source in sources]
        longest = max(map(len, sources)) + extra_length
        found = translator.translate_batch(
            words, beam_size=beam, length_penalty=1, max_decoding_length=longest, max_batch_size=64
        )
        torch.set_num_threads(threads)
        return [[1 if i == 3 else i for i in (ids[word] for word in result.hypotheses[0])] for result in found]

    return translate
