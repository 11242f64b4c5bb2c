#!/usr/bin/env python3
"""Tiny random models with transformers' logits: the accuracy oracle of the forward pass (tests/golden/test_tiny.c).

    pip install torch transformers gguf
    python3 tools/make_tiny_models.py tests/golden/tiny

For each variant below: a model of PyPI transformers with seeded weights of standard deviation 0.1, written as NAME.gguf
(float32, by the gguf package) and NAME.golden (64 token ids, and transformers' float32 logits after each of them).
Each variant switches on one feature of the pass, so that the name of a failing one says where to look.
"""
import argparse
import pathlib
import string

import gguf
import numpy as np
import torch
import transformers
from transformers import (Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig, GraniteConfig,
                          GraniteForCausalLM, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM,
                          Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM)

N_TOK = 64
STD = 0.1

# A vocabulary that SPM can use: special tokens, the space, printable ASCII. 99 rows: the last panel of 8 is partial.
PIECES = ["<unk>", "<s>", "</s>", "\u2581"] + list(string.ascii_letters + string.digits + string.punctuation) + ["th"]
BASE = dict(vocab_size=len(PIECES), hidden_size=32, intermediate_size=72, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=512, rms_norm_eps=1e-5, pad_token_id=None, bos_token_id=1, eos_token_id=2)


def rope(theta=10000.0, **scaling):
    return dict(rope_theta=theta, **(scaling or {"rope_type": "default"}))


VARIANTS = {  # name: architecture of the file, class, configuration, options
    "llama-gqa-tied": ("llama", LlamaForCausalLM, LlamaConfig, dict(
        num_key_value_heads=2, tie_word_embeddings=True, rope_parameters=rope())),
    "llama-bias-untied": ("llama", LlamaForCausalLM, LlamaConfig, dict(
        num_key_value_heads=4, attention_bias=True, mlp_bias=True, tie_word_embeddings=False, rope_parameters=rope())),
    "llama-rope-llama3": ("llama", LlamaForCausalLM, LlamaConfig, dict(
        num_key_value_heads=1, head_dim=16, tie_word_embeddings=True,
        rope_parameters=rope(500000.0, rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                             original_max_position_embeddings=64))),
    "llama-rope-linear": ("llama", LlamaForCausalLM, LlamaConfig, dict(
        num_key_value_heads=2, tie_word_embeddings=True, rope_parameters=rope(rope_type="linear", factor=4.0))),
    "mistral-window-linear": ("llama", MistralForCausalLM, MistralConfig, dict(
        num_key_value_heads=2, head_dim=16, sliding_window=16, tie_word_embeddings=False,
        rope_parameters=rope(rope_type="linear", factor=2.0))),
    "granite": ("granite", GraniteForCausalLM, GraniteConfig, dict(
        num_key_value_heads=2, embedding_multiplier=6.0, residual_multiplier=0.4, attention_multiplier=0.6,
        logits_scaling=0.5, tie_word_embeddings=True, rope_parameters=rope())),
    "qwen2": ("qwen2", Qwen2ForCausalLM, Qwen2Config, dict(
        num_key_value_heads=2, tie_word_embeddings=False, rope_parameters=rope(1e6))),
    "qwen3": ("qwen3", Qwen3ForCausalLM, Qwen3Config, dict(
        num_key_value_heads=2, head_dim=16, tie_word_embeddings=True, rope_parameters=rope(1e6))),
    "gemma2": ("gemma2", Gemma2ForCausalLM, Gemma2Config, dict(
        num_hidden_layers=3, num_key_value_heads=2, head_dim=16, query_pre_attn_scalar=16, sliding_window=16,
        attn_logit_softcapping=0.4, final_logit_softcapping=1.5, tie_word_embeddings=True, rope_parameters=rope())),
    "gemma3": ("gemma3", Gemma3ForCausalLM, Gemma3TextConfig, dict(
        intermediate_size=40, num_hidden_layers=7, num_attention_heads=2, num_key_value_heads=1, head_dim=24,
        query_pre_attn_scalar=24, sliding_window=16, tie_word_embeddings=True)),
    "gemma3-linear-cap": ("gemma3", Gemma3ForCausalLM, Gemma3TextConfig, dict(
        intermediate_size=40, num_hidden_layers=7, num_key_value_heads=2, head_dim=16, query_pre_attn_scalar=16,
        sliding_window=16, tie_word_embeddings=True, final_logit_softcapping=1.5,
        rope_parameters=dict(full_attention=rope(1e6, rope_type="linear", factor=8.0), sliding_attention=rope()))),
}

NAMES = {  # ours of transformers'; the layer's part
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
}
NORMS = {  # a layer's other norms: two in llama, four in gemma, under the same names
    False: {"post_attention_layernorm": "ffn_norm"},
    True: {"post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
           "post_feedforward_layernorm": "post_ffw_norm"},
}


def tensor_name(name, gemma):
    """model.layers.3.self_attn.q_proj.weight -> blk.3.attn_q.weight"""
    parts = name.split(".")
    if parts[1] != "layers":
        top = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
        return top[".".join(parts[:-1])] + "." + parts[-1]
    part = ".".join(parts[3:-1])
    return f"blk.{parts[2]}.{(NAMES | NORMS[gemma])[part]}.{parts[-1]}"


def interleave(w, n_head):
    """Rows of q and k from rope pairs (i, i + n/2) to pairs (2i, 2i + 1), as files of llama and granite hold them."""
    return w.reshape(n_head, 2, w.shape[0] // n_head // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def write_vocab(out):
    kind = gguf.TokenType
    out.add_tokenizer_model("llama")
    out.add_token_list(PIECES)
    out.add_token_scores([0.0 if i < 3 else -float(i) for i in range(len(PIECES) - 1)] + [-3.0])
    out.add_token_types([kind.UNKNOWN, kind.CONTROL, kind.CONTROL] + [kind.NORMAL] * (len(PIECES) - 3))
    out.add_unk_token_id(0)
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_add_bos_token(True)
    out.add_add_eos_token(False)
    out.add_add_space_prefix(False)


def write_hparams(out, c, gemma):
    d_head = c.head_dim if getattr(c, "head_dim", None) else c.hidden_size // c.num_attention_heads
    full = c.rope_parameters.get("full_attention", c.rope_parameters)
    out.add_context_length(c.max_position_embeddings)
    out.add_embedding_length(c.hidden_size)
    out.add_block_count(c.num_hidden_layers)
    out.add_feed_forward_length(c.intermediate_size)
    out.add_head_count(c.num_attention_heads)
    out.add_head_count_kv(c.num_key_value_heads)
    out.add_key_length(d_head)
    out.add_value_length(d_head)
    out.add_layer_norm_rms_eps(c.rms_norm_eps)
    out.add_vocab_size(c.vocab_size)
    out.add_rope_freq_base(full["rope_theta"])
    if not gemma: # its files leave it out
        out.add_rope_dimension_count(d_head)
    if full["rope_type"] == "linear":
        out.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        out.add_rope_scaling_factor(full["factor"])
    if getattr(c, "sliding_window", None):
        out.add_sliding_window(c.sliding_window)
    if getattr(c, "attn_logit_softcapping", None):
        out.add_attn_logit_softcapping(c.attn_logit_softcapping)
    if getattr(c, "final_logit_softcapping", None):
        out.add_final_logit_softcapping(c.final_logit_softcapping)
    if isinstance(c, GraniteConfig):
        out.add_embedding_scale(c.embedding_multiplier)
        out.add_residual_scale(c.residual_multiplier)
        out.add_attention_scale(c.attention_multiplier)
        out.add_logit_scale(c.logits_scaling)


def rope_factors(model):
    """What each frequency is divided by, against the plain ones: transformers' own numbers."""
    c, freq = model.config, model.model.rotary_emb.inv_freq.double()
    plain = c.rope_parameters["rope_theta"] ** (-torch.arange(len(freq), dtype=torch.float64) / len(freq))
    return (plain / freq).float().numpy()


def write_gguf(path, name, model):
    c, arch = model.config, VARIANTS[name][0]
    gemma = arch.startswith("gemma")
    out = gguf.GGUFWriter(str(path), arch)
    out.add_name("tiny " + name)
    out.add_description("random weights; made by tools/make_tiny_models.py")
    out.add_file_type(gguf.LlamaFileType.ALL_F32)
    write_hparams(out, c, gemma)
    write_vocab(out)
    if not gemma and c.rope_parameters["rope_type"] == "llama3":
        out.add_tensor("rope_freqs.weight", rope_factors(model))
    for hf_name, p in model.named_parameters(): # a tied head is named once, as the embedding
        w = p.detach().numpy()
        if arch in ("llama", "granite") and (".q_proj." in hf_name or ".k_proj." in hf_name):
            w = interleave(w, c.num_attention_heads if ".q_proj." in hf_name else c.num_key_value_heads)
        if gemma and hf_name.endswith("norm.weight"):
            w = w + np.float32(1) # the file holds 1 + w
        out.add_tensor(tensor_name(hf_name, gemma), np.ascontiguousarray(w))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def write_golden(path, name, ids, logits):
    top = logits.topk(2, dim=-1).values
    with open(path, "w", encoding="ascii") as f:
        f.write(f"# outrider-golden v1 tiny model {name}: logits of transformers {transformers.__version__}, float32\n")
        f.write("# made by: python3 tools/make_tiny_models.py tests/golden/tiny\n")
        f.write("# n_tok n_vocab, then a line per token: id, top-2 margin of the logits after it, the logits\n")
        f.write(f"{logits.shape[0]} {logits.shape[1]}\n")
        for t, row in enumerate(logits):
            values = " ".join(f"{v:.5f}" for v in row.tolist())
            f.write(f"{ids[t]} {top[t, 0] - top[t, 1]:.5f} {values}\n")


def make(out, name, seed):
    _, cls, config, options = VARIANTS[name]
    rng = torch.Generator().manual_seed(seed)
    model = cls(config(**(BASE | options), attn_implementation="eager")).float().eval()
    with torch.no_grad():
        for key, p in model.named_parameters():
            centre = 1.0 if "norm" in key and not name.startswith("gemma") else 0.0
            p.copy_(centre + STD * torch.randn(p.shape, generator=rng))
        ids = [1] + torch.randint(3, len(PIECES), (N_TOK - 1,), generator=rng).tolist()
        logits = model(torch.tensor([ids])).logits[0]
    assert logits.dtype == torch.float32 and torch.isfinite(logits).all()
    write_gguf(out / f"{name}.gguf", name, model)
    write_golden(out / f"{name}.golden", name, ids, logits)
    print(f"{name}: max |logit| {logits.abs().max():.3f}, {(out / (name + '.gguf')).stat().st_size} bytes")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("out", type=pathlib.Path, help="folder of the models and goldens")
    ap.add_argument("names", nargs="*", help="only these variants")
    a = ap.parse_args()
    torch.set_num_threads(1) # one order of sums
    a.out.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(VARIANTS):
        if not a.names or name in a.names:
            make(a.out, name, seed)


if __name__ == "__main__":
    main()
