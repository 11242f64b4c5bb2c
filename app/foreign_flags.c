/* Owns the list of llama.cpp's flags, and SGLang's of speculation, that people type without thinking and that we have
 * no use for, or not yet. Ignored: those that can change nothing that a user sees, but speed or looks. Refused: the
 * rest, with what to do. Read next: flags.h. */
#include "run_opts.h"

#define IGNORE(names, arg, why)                                                                                        \
    {                                                                                                                  \
        names, FLAG_IGNORED, 0, arg, why, 0, 0, NULL                                                                   \
    }
#define REFUSE(names, why)                                                                                             \
    {                                                                                                                  \
        names, FLAG_REFUSED, 0, NULL, why, 0, 0, NULL                                                                  \
    }

#define LATER_HEADS "heads of a model come with a later version; -md FILE drafts with a second model"

static const struct flag foreign[] = {
    IGNORE("-ngl --gpu-layers --n-gpu-layers -dev --device -sm --split-mode -ts --tensor-split -mg --main-gpu", "N",
           "everything runs on the CPU"),
    IGNORE("-fa --flash-attn", "?", "there is one attention, and it never holds the whole score matrix"),
    IGNORE("--mmap --mlock -kvu --kv-unified -kvo --kv-offload --op-offload --repack", NULL,
           "the file is always mapped and the weights repacked"),
    IGNORE("-lm --load-mode --numa --prio --prio-batch --poll --poll-batch -C --cpu-mask -Cr --cpu-range --cpu-strict",
           "X", "threads and memory are placed by the system"),
    IGNORE("-ub --ubatch-size -tb --threads-batch -np --parallel --keep", "N",
           "one setting serves all passes (-b, -t)"),
    IGNORE("-cb --cont-batching --cache-prompt --context-shift --warmup --perf", NULL, "it is part of the engine"),
    IGNORE("--jinja --display-prompt -co --color --simple-io -i --interactive -st --single-turn --log-disable "
           "--log-colors -v --verbose "
           "--offline --check-tensors --no-escape",
           NULL, "the program decides that itself (text is taken as it stands, every tensor is checked)"),
    IGNORE("-lv --verbosity --log-file --slot-prompt-similarity -sps", "X", "there is no log"),
    REFUSE("-hf -hfr --hf-repo -hff --hf-file -mu --model-url -dr --docker-repo",
           "nothing is downloaded at run time; fetch the file, then -m FILE"),
    REFUSE("-e --escape", "escapes are the shell's: -p $'two\\nlines'"),
    REFUSE("--grammar --grammar-file -j --json-schema -jf --json-schema-file",
           "constrained output comes with a later version"),
    REFUSE("--chat-template --chat-template-file --chat-template-kwargs --reasoning-format --reasoning-budget",
           "the model's own template is used; --raw completes a prompt that you have written out"),
    REFUSE("--lora --lora-scaled --control-vector --control-vector-scaled --mmproj --image --audio --override-kv -ot "
           "--override-tensor",
           "the model is used as it is in its file"),
    REFUSE("--rope-scaling --rope-scale --rope-freq-base --rope-freq-scale --yarn-orig-ctx --yarn-ext-factor",
           "positions are as the model's file says"),
    REFUSE("--samplers --sampler-seq --sampling-seq",
           "the order is fixed: penalties, DRY, bias, top-k, typical, top-p, min-p, temperature"),
    REFUSE("--top-nsigma --top-n-sigma --xtc-probability --xtc-threshold --dynatemp-range --dynatemp-exp --mirostat "
           "--mirostat-lr "
           "--mirostat-ent --adaptive-target --adaptive-decay --dry-sequence-breaker",
           "this sampler is not here; see --help for those that are"),
    REFUSE("-hfd -hfrd --hf-repo-draft --spec-draft-hf --speculative-draft-model-revision",
           "nothing is downloaded at run time; fetch the file, then -md FILE"),
    IGNORE("-cd --ctx-size-draft -ctkd --cache-type-k-draft --spec-draft-type-k -ctvd --cache-type-v-draft "
           "--spec-draft-type-v -td --threads-draft -tbd --threads-batch-draft -Cd --cpu-mask-draft -Crd "
           "--cpu-range-draft --spec-draft-prio --spec-draft-poll --speculative-draft-model-quantization "
           "--speculative-draft-attention-backend",
           "X", "a drafter has the context, the KV type and the threads of the model"),
    IGNORE("-ngld --gpu-layers-draft --n-gpu-layers-draft -devd --device-draft -ncmoed --n-cpu-moe-draft -otd "
           "--override-tensor-draft",
           "X", "everything runs on the CPU"),
    IGNORE("-cmoed --cpu-moe-draft", NULL, "everything runs on the CPU"),
    REFUSE("--speculative-eagle-topk --speculative-token-map", LATER_HEADS),
    IGNORE("--draft-p-split --spec-draft-p-split --spec-draft-sampling", "X",
           "how a draft branches is measured, and how it is drawn is the rule's (--verify)"),
    IGNORE("--speculative-ngram-max-match-window-size --speculative-ngram-min-bfs-breadth "
           "--speculative-ngram-max-bfs-breadth --speculative-ngram-match-type --speculative-ngram-capacity "
           "--speculative-ngram-max-trie-depth",
           "X", "the longest match wins, and the rest is measured"),
    REFUSE("--speculative-accept-threshold-single --speculative-accept-threshold-acc",
           "the rules that change the output have names: --verify typical, --verify relaxed"),
    REFUSE("--spec-synth-len --spec-synth-rates", "what is accepted is what the model would have said"),
    REFUSE("--prompt-cache --prompt-cache-all --prompt-cache-ro --slot-save-path", "prompts are not saved to files"),
    REFUSE("--host --port --api-key --api-key-file", "the server comes with a later version"),
    REFUSE("-gan --grp-attn-n -gaw --grp-attn-w",
           "self-extend attention is not here; use -c up to what the model was trained on"),
};

struct flag_set foreign_flags(void)
{
    static char nothing; /* ignored flags have no value to set, but every set has a struct */
    return (struct flag_set){foreign, sizeof foreign / sizeof foreign[0], &nothing};
}
