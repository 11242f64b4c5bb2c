#!/usr/bin/env python3
"""Golden ids for tests/unit/test_tokenizer_golden.c: mixed lines, and what independent tokenizers make of them.

    pip install gguf tokenizers sentencepiece protobuf
    python3 tools/make_tokenizer_golden.py MODELS_DIR ../shared/data tests/golden

Writes tok_lines.txt (lines made here, seeded), tok_smollm2.txt and tok_gemma3.txt (count and hash of the ids, a line
each: first of tok_lines.txt, then of raw lines of the shared data, which are not copied), tok_pretok.txt (words) and
tok_utf8.txt (bad bytes).
Oracles: SmolLM2 is PyPI `tokenizers` on the file's pieces and merges, with Sequence[Digits(individual), ByteLevel]
(transformers' own conversion of GGUF drops the single digits); Gemma 3 is PyPI `sentencepiece` on a model built from
the file's pieces, scores and types. Control tokens are cut out here by hand, for neither oracle parses them.
"""
import pathlib
import random
import re
import sys
import unicodedata

import gguf
import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as sp_model
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

SEED = 20240613
N_LINES = 4000
LINE_BYTES = 600  # of a raw line of the shared data, cut there even inside a character
SHARED = [("wikitext-2/test.txt", 3000), ("oasst/oasst-filtered.jsonl", 1178), ("arena-hard/question-v2.0.jsonl", 750),
          ("humanevalpack/cpp.jsonl", 164), ("humanevalpack/python.jsonl", 164), ("humanevalpack/rust.jsonl", 164),
          ("humanevalpack/js.jsonl", 164), ("spec-bench/question.jsonl", 480),
          ("wikitext-2/valid.txt", 1000)]
# Bytes without a token in SmolLM2 that valid UTF-8 can hold: not in our lines, for they are dropped by design.
NO_TOKEN = {0x04, 0x06, 0x13, 0x14, 0x16, 0x1d}

WORDS = """the of and to in is that it was for on are as with his they at be this have from or one had by but not what
all were we when your can said there use an each which she do how their if will up other about out many then them
these so some her would make like him into time has look two more write go see number no way could people my than
first water been call who oil its now find long down day did get come made may part over new sound take only little
work know place year live me back give most very after thing our just name good sentence man think say great where
help through much before line right too means old any same tell boy follow came want show also around form three small
set put end does another well large must big even such because turn here why ask went men read need land different
home us move try kind hand picture again change off play spell air away animal house point page letter mother answer
found study still learn should America world tokenizer vocabulary speculative decoding attention residual
normalisation Outrider Debian O'Neill naïve café résumé Zürich coöperate façade jalapeño Ærøskøbing""".split()

SENTENCES = """Добрый день, как у вас дела? Съешь же ещё этих мягких французских булок.
Нічого не бійтеся: це лише приклад тексту.
Το γρήγορο καφέ αλεπού πηδάει πάνω από το σκυλί.
今天天气很好，我们去公园散步吧。价格是1234.56元。
吾輩は猫である。名前はまだ無い。カタカナとひらがなが混ざった文です。
안녕하세요? 이것은 한국어 문장입니다. 숫자 12345도 있습니다.
हिन्दी में एक छोटा वाक्य है, और संख्या १२३४।
আমি বাংলায় লিখি। এটি একটি পরীক্ষা।
தமிழ் ஒரு பழமையான மொழி.
తెలుగు భాషలో ఒక వాక్యం.
ಕನ್ನಡದಲ್ಲಿ ಒಂದು ವಾಕ್ಯ.
മലയാളം ഒരു ഭാഷയാണ്.
ภาษาไทยไม่มีช่องว่างระหว่างคำ
ພາສາລາວ ກໍຄືກັນ
မြန်မာစာ စမ်းသပ်ခြင်း
ខ្ញុំរៀនភាសាខ្មែរ
მე ვსწავლობ ქართულს.
Ես սովորում եմ հայերեն։
שלום עולם, זהו משפט בעברית עם נִקּוּד.
مرحبا بالعالم، هذه جملة باللغة العربية ١٢٣.
این یک جملهٔ فارسی است؛ می‌خواهم آن را بخوانم.
یہ اردو کا ایک جملہ ہے۔
Tiếng Việt có nhiều dấu thanh: ắ ằ ẳ ẵ ặ.
Příliš žluťoučký kůň úpěl ďábelské ódy.
Zażółć gęślą jaźń; łódź płynie.
Falsches Üben von Xylophonmusik quält jeden größeren Zwerg.
Voix ambiguë d'un cœur qui au zéphyr préfère les jattes de kiwis.
El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia.
Árvíztűrő tükörfúrógép; İstanbul'da ışık söndü.
ሰላም ለዓለም ይህ ምሳሌ ነው።
བོད་སྐད་ཀྱི་ཚིག་གྲུབ།
Монгол хэл ᠮᠣᠩᠭᠣᠯ бичиг.
ᚠᚢᚦᚨᚱᚲ ᚷᚹᚺᚾ ᛁᛃᛇᛈ""".splitlines()

CODE = r'''#include <stdio.h>
int main(int argc, char **argv) { return argc > 1 ? 0 : -1; }
    for (size_t i = 0; i < n; ++i) { sum += a[i] * b[i]; }
	if (!p || p->next == NULL) goto fail; /* cannot happen */
def fib(n: int) -> int:\n    return n if n < 2 else fib(n - 1) + fib(n - 2)
    x = {"key": [1, 2.5e-3, None], 'b': (True, False)}
<div class="row" id='x1'><h1>Title &amp; more</h1><br/></div>
{"name":"test","values":[0,1,-2,3.14159],"nested":{"a":null}}
SELECT id, COUNT(*) FROM t WHERE name LIKE '%foo%' GROUP BY id HAVING COUNT(*) > 10;
fn main() { let mut v: Vec<u8> = vec![0; 1024]; println!("{:?}", &v[..4]); }
const f = async (x) => await fetch(`https://example.org/${x}?q=a%20b`);
#!/bin/sh\nset -e\nfor f in *.c; do gcc -O2 -c "$f" || exit 1; done
\begin{equation} \int_0^\infty e^{-x^2}\,dx = \frac{\sqrt{\pi}}{2} \end{equation}
template <typename T, int N = 8> struct vec { T v[N]; auto operator<=>(const vec &) const = default; };
0x7fff_ffff 0b1010 1e10 1_000_000 3.0f 0xDEADBEEF 'c' "s\tr\n"
    \t  mixed = "tabs and spaces"\t# comment
diff --git a/x b/x\n@@ -1,3 +1,4 @@\n-old\n+new
| col a | col b |\n|-------|:-----:|\n| 1     | 2     |
user@example.com, http://[::1]:8080/path/to/file.tar.gz#frag 192.168.0.1
$ ls -la ~/.config && grep -rnE '^\s*[A-Z]+' . | sort -u > /dev/null 2>&1'''.splitlines()

EMOJI = ["😀", "🦙", "👨‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪🇫🇷", "❤️", "1️⃣", "🧑🏿‍🚀", "✅", "⚠️", "🎉🎉🎉", "☃", "♥︎", "🫠", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"]
SPACES = [" ", "  ", "   ", "    ", "\t", "\n", "\n\n", "\r\n", " \n", "\n ", "\t\t", "\u00a0", "\u3000", "\u2003",
          "\u2028", "\u200b", "\u180e", "\u0085", "\x0b", "\x0c", " " * 8, " " * 17, " " * 40, "\n" * 5, "\n" * 35,
          "\t" * 9]
MARKS = [chr(c) for c in list(range(0x300, 0x340)) + [0x5b0, 0x5b8, 0x64b, 0x651, 0x93c, 0x94d, 0x20d7, 0xfe0f, 0x200d]]
RANGES = [(0x20, 0x7e), (0xa0, 0x17f), (0x180, 0x24f), (0x250, 0x2ff), (0x370, 0x3ff), (0x400, 0x52f), (0x530, 0x58f),
          (0x590, 0x5ff), (0x600, 0x6ff), (0x900, 0xdff), (0xe00, 0xeff), (0x10a0, 0x10ff), (0x1100, 0x11ff),
          (0x1e00, 0x1fff), (0x2000, 0x22ff), (0x2300, 0x2bff), (0x3000, 0x30ff), (0x3400, 0x34ff),
          (0x4e00, 0x9fff), (0xac00, 0xd7a3), (0xf900, 0xfdff), (0xfe00, 0xffef), (0x10000, 0x103ff),
          (0x10400, 0x104ff), (0x1d400, 0x1d7ff), (0x1f000, 0x1faff), (0x20000, 0x200ff), (0xe000, 0xe0ff),
          (0xe0100, 0xe01ef), (0x100000, 0x1000ff)]
MARKERS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>", "<unk>",
           "<pad>", "<repo_name>", "<unused7>", "<unused71>", "<|im_start", "im_end|>", "<<|im_end|>>",
           "<start_of_image>", "</h1>", "<b>"]


def random_char(r):
    while True:
        c = chr(r.randint(*r.choice(RANGES)))
        if unicodedata.category(c) not in ("Cn", "Cs"):
            return c


def words(r, n):
    out = []
    for _ in range(n):
        w = r.choice(WORDS)
        w = r.choice([w, w, w, w, w.capitalize(), w.upper(),
                      w + r.choice(["'s", "'t", "'re", "'LL", "'ve", "'D", "’s"])])
        out.append(w + r.choice(["", "", "", "", ",", ".", ";", ":", "!", "?", " -", "…", ")", "\""]))
    return " ".join(out)


def number(r):
    d = "".join(r.choice("0123456789") for _ in range(r.randint(1, 14)))
    return r.choice([d, d + "." + d[:2], "-" + d, f"{int(d):,}", "½" + d, "²³" + d[:1], "٣٤" + d[:2], "Ⅷ",
                     d + "%", "$" + d, "１２" + d[:1]])


def control(r):
    return chr(r.choice([c for c in list(range(1, 32)) + [0x7f, 0x80, 0x9f, 0xad, 0x200e, 0x202e, 0x2066, 0xfeff,
                                                                     0xfffd, 0]
                         if c not in NO_TOKEN]))


def fragment(r):
    kind = r.randrange(13)
    if kind <= 2:
        return words(r, r.randint(1, 9))
    if kind == 3:
        return number(r)
    if kind == 4:
        return r.choice(CODE).replace("\\n", "\n").replace("\\t", "\t")
    if kind == 5:
        return "".join(r.choice(SPACES) for _ in range(r.randint(1, 4)))
    if kind <= 7:
        s = r.choice(SENTENCES)
        a = r.randrange(len(s))
        return r.choice([s, s[a:a + r.randint(1, 20)]])
    if kind == 8:
        return "".join(random_char(r) for _ in range(r.randint(1, 8)))
    if kind == 9:
        return "".join(r.choice(EMOJI) for _ in range(r.randint(1, 3)))
    if kind == 10:
        return "".join(r.choice("aeioukא한な") + "".join(r.choice(MARKS) for _ in range(r.randint(0, 3)))
                       for _ in range(5))
    if kind == 11:
        return "".join(control(r) for _ in range(r.randint(1, 3)))
    return r.choice(["a", "=", "-", ".", "0", "ab", "哈", "!", "\u00e9", "_", "x "]) * r.randint(2, 40)


def make_lines():
    r = random.Random(SEED)
    out = []
    for i in range(N_LINES):
        special = i % 10 == 9
        n = 1 if i % 3 == 0 else r.randint(2, 4)
        parts = [fragment(r) for _ in range(n)]
        if special:
            parts.insert(r.randint(0, n), r.choice(MARKERS))
            parts.insert(r.randint(0, n), r.choice(MARKERS))
        text = r.choice(["", "", " "]).join(parts)
        assert not NO_TOKEN & set(text.encode())
        out.append(("S" if special else "T", text))
    return out


def escape(text):
    return "".join("\\\\" if c == "\\" else "\\n" if c == "\n" else f"\\x{ord(c):02x}"
                   if ord(c) < 32 or c == "\x7f" else c for c in text)


def hash_ids(ids):
    h = 2166136261
    for i in ids:
        for b in i.to_bytes(4, "little"):
            h = ((h ^ b) * 16777619) & 0xffffffff
    return h


class Vocabulary:
    """The pieces of a file, and the cutting out of special tokens: user-defined ones always, others if asked for."""

    def __init__(self, path):
        f = gguf.GGUFReader(path).fields
        self.get = lambda key: f["tokenizer.ggml." + key].contents()
        self.pieces, self.types = self.get("tokens"), self.get("token_type")
        self.ids = {p: i for i, p in enumerate(self.pieces)}

    def cutter(self, types):
        """types: which ones (2 unknown, 3 control, 4 user-defined)."""
        found = sorted((p for p, t in zip(self.pieces, self.types) if t in types), key=lambda p: -len(p.encode()))
        return re.compile("(" + "|".join(map(re.escape, found)) + ")")

    def encode(self, text, special):
        if not special:
            return self.plain(text)
        if not hasattr(self, "cuts"):
            self.cuts = self.cutter((2, 3))
        return [i for k, part in enumerate(self.cuts.split(text))
                for i in ([self.ids[part]] if k % 2 else self.plain(part))]


class SmolLM2(Vocabulary):
    def __init__(self, path):
        super().__init__(path)
        merges = [tuple(m.split(" ")) for m in self.get("merges")]
        self.tok = Tokenizer(models.BPE(vocab=self.ids, merges=merges))
        self.tok.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])

    def plain(self, text):
        return self.tok.encode(text, add_special_tokens=False).ids


class Gemma3(Vocabulary):
    def __init__(self, path):
        super().__init__(path)
        m = sp_model.ModelProto()
        kind = {1: "NORMAL", 2: "UNKNOWN", 3: "CONTROL", 4: "USER_DEFINED", 5: "UNUSED", 6: "BYTE"}
        for i, (p, s, t) in enumerate(zip(self.pieces, self.get("scores"), self.types)):
            t = 2 if i == self.get("unknown_token_id") else t
            m.pieces.add(piece=p.replace(" ", "\u2581") if t == 4 else p, score=s,
                         type=getattr(sp_model.ModelProto.SentencePiece, kind[t]))
        m.trainer_spec.model_type = sp_model.TrainerSpec.BPE
        m.trainer_spec.byte_fallback = True
        m.trainer_spec.unk_id = self.get("unknown_token_id")
        m.trainer_spec.bos_id, m.trainer_spec.eos_id, m.trainer_spec.pad_id = 2, 1, 0
        m.trainer_spec.vocab_size = len(self.pieces)
        m.normalizer_spec.name = "identity"
        m.normalizer_spec.add_dummy_prefix = False
        m.normalizer_spec.remove_extra_whitespaces = False
        self.tok = sentencepiece.SentencePieceProcessor(model_proto=m.SerializeToString())

    def plain(self, text):
        return self.tok.encode(text, out_type=int)


def shared_lines(data, name, count):
    lines = [l for l in (data / name).read_bytes().split(b"\n") if l.strip(b" ")]
    return [l[:LINE_BYTES].decode("utf-8", errors="replace") for l in lines[:count]]


def write_ids(path, vocabulary, lines, data, command):
    with open(path, "w") as f:
        f.write(f"# outrider-golden v1 ids by {command}\n# per line: count, FNV-1a of the ids\n")
        f.write(f"file tok_lines.txt {len(lines)}\n")
        for flag, text in lines:
            ids = vocabulary.encode(text, flag == "S")
            f.write(f"{len(ids)} {hash_ids(ids):08x}\n")
        for name, count in SHARED:
            texts = shared_lines(data, name, count)
            f.write(f"file {name} {len(texts)}\n")
            for text in texts:
                ids = vocabulary.plain(text)
                f.write(f"{len(ids)} {hash_ids(ids):08x}\n")


# ---- pre-tokenizers: the expressions as they stand in the models' tokenizer.json ----------------------------------

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
          r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CASED = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+APOS|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*APOS|DIGITS|"
         r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK3 = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
             r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
LETTERS = (  # letters with case, as a list of some older Unicode
    r"A-Za-z\x{b5}\x{c0}-\x{d6}\x{d8}-\x{f6}\x{f8}-\x{1ba}\x{1bc}-\x{1bf}\x{1c4}-\x{293}\x{295}-\x{2af}\x{370}-\x{373}"
    r"\x{376}\x{377}\x{37b}-\x{37d}\x{37f}\x{386}\x{388}-\x{38a}\x{38c}\x{38e}-\x{3a1}\x{3a3}-\x{3f5}\x{3f7}-\x{481}"
    r"\x{48a}-\x{52f}\x{531}-\x{556}\x{10a0}-\x{10c5}\x{13a0}-\x{13f5}\x{13f8}-\x{13fd}\x{1c90}-\x{1cba}"
    r"\x{1cbd}-\x{1cbf}\x{1d00}-\x{1d2b}\x{1d6b}-\x{1d77}\x{1d79}-\x{1d9a}\x{1e00}-\x{1f15}\x{1f18}-\x{1f1d}"
    r"\x{1f20}-\x{1f45}\x{1f48}-\x{1f4d}\x{1f50}-\x{1f57}\x{1f59}\x{1f5b}\x{1f5d}\x{1f5f}-\x{1f7d}\x{1f80}-\x{1fb4}"
    r"\x{1fb6}-\x{1fbc}\x{1fbe}\x{1fc2}-\x{1fc4}\x{1fc6}-\x{1fcc}\x{1fd0}-\x{1fd3}\x{1fd6}-\x{1fdb}\x{1fe0}-\x{1fec}"
    r"\x{1ff2}-\x{1ff4}\x{1ff6}-\x{1ffc}\x{2102}\x{2107}\x{210a}-\x{2113}\x{2115}\x{2119}-\x{211d}\x{2124}\x{2126}"
    r"\x{2128}\x{212a}-\x{212d}\x{212f}-\x{2134}\x{2139}\x{213c}-\x{213f}\x{2145}-\x{2149}\x{214e}\x{2183}\x{2184}"
    r"\x{2c00}-\x{2c7b}\x{2c7e}-\x{2ce4}\x{2ceb}-\x{2cee}\x{2cf2}\x{2cf3}\x{a640}-\x{a66d}\x{a680}-\x{a69b}"
    r"\x{a722}-\x{a76f}\x{a771}-\x{a787}\x{a78b}-\x{a78e}\x{ab70}-\x{abbf}\x{fb00}-\x{fb06}\x{fb13}-\x{fb17}"
    r"\x{ff21}-\x{ff3a}\x{ff41}-\x{ff5a}\x{10400}-\x{1044f}\x{104b0}-\x{104d3}\x{104d8}-\x{104fb}\x{10c80}-\x{10cb2}"
    r"\x{10cc0}-\x{10cf2}\x{118a0}-\x{118df}\x{1e900}-\x{1e943}")
CJK = "[一-龥ࠀ-一가-퟿]+"
PRETOK = {
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "llama-bpe": [LLAMA3],
    "qwen2": [LLAMA3.replace("{1,3}", "")],
    "qwen35": [LLAMA3.replace("{1,3}", "").replace(r"?\p{L}+", r"?[\p{L}\p{M}]+")
               .replace(r"[^\s\p{L}\p{N}]", r"[^\s\p{L}\p{M}\p{N}]")],
    "deepseek-llm": [r"[\r\n]", rf"\s?[{LETTERS}]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", CJK, r"\p{N}+"],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK, r"\p{N}"],
    "deepseek-v3": [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3],
    "bloom": [r" ?[^(\s|.,!?…。，、।۔،)]+"],
    "viking": [r" ?[^(\s|.,!?…。，、।۔،)]+", r"\p{N}"],
    "tekken": [CASED.replace("APOS", "").replace("DIGITS", r"\p{N}")],
    "gpt-4o": [CASED.replace("APOS", "(?i:'s|'t|'re|'ve|'m|'ll|'d)?").replace("DIGITS", r"\p{N}{1,3}")],
    "bailingmoe": [r"'(?i:[sdmt]|ll|ve|re)|"
                   r"[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"],
    "seed-coder": [r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
                   r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"],
    "minicpm5": [r"\p{N}{1,3}", LLAMA3.replace("{1,3}", "+")],
}


def write_pretok(path, lines, command):
    """Per name and line of tok_lines.txt: the hash of the byte offsets where words end."""
    with open(path, "w") as f:
        f.write(f"# outrider-golden v1 words by {command}\n"
                "# per line of tok_lines.txt (every 4th): count, FNV-1a of the ends\n")
        for name, expressions in PRETOK.items():
            split = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(e), "isolated") for e in expressions])
            f.write(f"pre {name}\n")
            for _, text in lines[::4]:
                ends, at = [], 0
                for word, _ in split.pre_tokenize_str(text):
                    at += len(word.encode())
                    ends.append(at)
                assert at == len(text.encode())
                f.write(f"{len(ends)} {hash_ids(ends):08x}\n")


def write_utf8(path, command):
    """Byte strings, and what Python makes of them with errors='replace'."""
    r = random.Random(SEED)
    edges = bytes.fromhex("00417f808f909fa0bfc0c1c2dfe0e1ecedeeeff0f1f3f4f5ff")
    cases = [bytes([a, b]) for a in edges for b in edges]
    cases += [bytes(r.choice(edges) for _ in range(r.randint(3, 8))) for _ in range(1500)]
    with open(path, "w") as f:
        f.write(f"# outrider-golden v1 bytes.decode('utf-8', errors='replace') by {command}\n")
        f.writelines(f"{c.hex()} {c.decode('utf-8', errors='replace').encode().hex()}\n" for c in cases)


def main():
    model_dir, data, out = map(pathlib.Path, sys.argv[1:4])
    command = "tools/make_tokenizer_golden.py"
    lines = make_lines()
    with open(out / "tok_lines.txt", "w") as f:
        f.write(f"# outrider-golden v1 lines by {command}, seed {SEED}; S: special tokens are parsed, T: not\n")
        f.writelines(f"{flag} {escape(text)}\n" for flag, text in lines)
    write_utf8(out / "tok_utf8.txt", command)
    write_pretok(out / "tok_pretok.txt", lines, command)
    write_ids(out / "tok_smollm2.txt", SmolLM2(model_dir / "SmolLM2-135M-Instruct-Q4_1.gguf"), lines, data, command)
    write_ids(out / "tok_gemma3.txt", Gemma3(model_dir / "gemma-3-270m-Q4_K_M.gguf"), lines, data, command)


if __name__ == "__main__":
    main()
