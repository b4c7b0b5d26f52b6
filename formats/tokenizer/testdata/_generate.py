#!/usr/bin/env python3
"""Makes the tokenizers and cases of kimi/, llama2/, gemma/ and characters.jsonl.gz, and
compares quern with their references on random texts.

    python3 _generate.py make          run in this folder; gemma's trainer settles ties
        another way each time, so its files and characters.jsonl.gz change
    python3 _generate.py fuzz QUERN N [SEED]   N texts for each form
    python3 _generate.py real QUERN N FILE…    N texts for published tokenizers: models of
        SentencePiece (mistral_common has some), qwen.tiktoken (dashscope has it), and
        tekken.json, whose ranks are taken with Kimi's pattern

Needs tokenizers 0.23.3, tiktoken 0.14.0 and sentencepiece 0.2.3. The tokenizers are
trained here, on this repository's documents and the lines below: no published one is
part of the repository. What gives the ids is tokenizers (llama2, gemma, characters)
and tiktoken (kimi), the latter called as tokenization_kimi.py does.
"""
import base64, copy, glob, gzip, io, json, os, random, shutil, subprocess, sys, tempfile, unicodedata

import sentencepiece
import tiktoken
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
LINES = """
Der schnelle braune Fuchs springt über den faulen Hund; Straße, Größe, Öl.
Le cœur déçu mais l'âme plutôt naïve, Louÿs rêva de crapaüter en canoë.
Съешь же ещё этих мягких французских булок, да выпей чаю. Привет, мир!
敏捷的棕色狐狸跳过了懒狗。你好,世界!模型有三百八十四个专家,每个词元选八个。
いろはにほへと ちりぬるを わかよたれそ つねならむ。日本語のテキストです。
다람쥐 헌 쳇바퀴에 타고파. 안녕하세요 세계!
نص حكيم له سر قاطع وذو شأن عظيم. ऋषियों को सताने वाले दुष्ट राक्षसों के राजा.
it's IT'S don't DON'T we're you've I'm I'll he'd they'd won't
1 12 123 1234 3.14159 1,234,567 2026-11-29 ½ ² Ⅷ ٣
\tif x > 0 {\n\t\treturn x\n\t}\n    def f(self):\n        return None\n\n\n
""" * 8

# The pattern of tokenization_kimi.py.
KIMI = "|".join([
    r"[\p{Han}]+",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])


def compressed(name):
    """Opens a file to write text, of which the same text makes the same bytes."""
    return io.TextIOWrapper(gzip.GzipFile(filename="", mode="wb", fileobj=open(name, "wb"), mtime=0))


def corpus():
    root = os.path.join(HERE, "..", "..", "..")
    files = sorted(glob.glob(os.path.join(root, "docs", "*.md")))
    return [open(f, encoding="utf-8").read() for f in files] + [LINES]


# Random texts.

WORDS = ("the|of|and|Token|HELLO|world|naïve|Größe|straße|Привет|мир|你好|世界|模型|日本語|テキスト|안녕|세계|نص|राजा|return|self|"
         "func(x)|//|==|...|!|?|,|1|12|123|1234|2026|½|Ⅷ|٣|'s|'S|'ſ|'ll|’re|'|a|b|A|é|É|ǅ|ʰ|ª|中|ー|々|〇|⺀|𖿰|㐀|e\u0301|\u0301|"
         "\u0323|😀|👨‍👩‍👧|🇩🇪|\u200d|\ufeff|\u00a0|\u2028|\u0085|\x1c|\x00|\u3000|▁|▁▁|<0x41>|<0xE2>|<0x0A>|<|>|<unk>|<s>|</s>|x<s>y|"
         "|[BOS]|[EOS]|<|im_end|>|<|im_user|>|<|reserved_token_1029|>|<|reserved_token_999999|>|<|im_|[PAD]").split("|")
SPECIALS = ["<|im_end|>", "<|im_user|>", "<|im_middle|>", "<|reserved_token_900|>", "<|reserved_token_1000|>", "<pad>", "<bos>", "<eos>",
            "<start_of_turn>", "[INST]", "<ws>", "<unk>", "<s>", "</s>", "QQ", "word"]
SPACES = [" ", " ", " ", " ", "  ", "   ", "\n", "\n\n", "\r\n", "\t", "", "", ""]


def some_char(r):
    k = r.random()
    if k < 0.4:
        return chr(r.randrange(0x20, 0x7f))
    if k < 0.6:
        return chr(r.randrange(0x80, 0x800))
    while True:
        c = r.randrange(0x800, 0x10000) if k < 0.9 else r.randrange(0x10000, 0x110000)
        if not 0xd800 <= c < 0xe000:
            return chr(c)


def some_text(r, texts):
    out = []
    kind = r.random()
    if kind < 0.25:
        t = r.choice(texts)
        i = r.randrange(len(t))
        return t[i:i + r.randrange(1, 120)]
    for _ in range(r.randrange(1, 14)):
        k = r.random()
        if k < 0.55:
            out.append(r.choice(WORDS))
        elif k < 0.65:
            out.append(r.choice(SPECIALS))
        elif k < 0.75:
            t = r.choice(texts)
            i = r.randrange(len(t))
            out.append(t[i:i + r.randrange(1, 12)])
        else:
            out.append(some_char(r) * (r.randrange(1, 9) if r.random() < 0.1 else 1))
        if r.random() < 0.6:
            out.append(r.choice(SPACES))
    return "".join(out)


def long_text(r, texts):
    out = []
    while sum(map(len, out)) < r.choice([20_000, 60_000, 450_000, 900_000]):
        k = r.random()
        n = r.choice([10, 24_999, 25_000, 25_001, 50_001])
        out.append(r.choice(["x", "ab", "<|im_end|>", "中", "1"]) * n if k < 0.15 else r.choice([" ", "\n ", "\x1c"]) * n if k < 0.3 else r.choice(texts))
    return "".join(out)


# Kimi: ranks by byte-level BPE, special tokens, and tokenization_kimi.py's own cuts.

def make_kimi(folder, texts):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(KIMI), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=768, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    shown = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b]
    runes = {chr(b): b for b in shown}
    runes.update({chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in shown)})
    os.makedirs(folder, exist_ok=True)
    with open(folder + "/tiktoken.model", "w") as f:
        for s, i in sorted(t.get_vocab().items(), key=lambda x: x[1]):
            f.write(base64.b64encode(bytes(runes[c] for c in s)).decode() + f" {i}\n")
    base = t.get_vocab_size()
    names = {0: "[BOS]", 1: "[EOS]", 2: "<|im_end|>", 3: "<|im_user|>", 4: "<|im_assistant|>", 9: "[EOT]", 10: "<|im_system|>", 17: "<|im_middle|>", 254: "[UNK]", 255: "[PAD]"}
    flags = dict(lstrip=False, normalized=False, rstrip=False, single_word=False, special=True)
    json.dump(dict(added_tokens_decoder={str(base + k): dict(content=v, **flags) for k, v in names.items()}, bos_token="[BOS]", eos_token="[EOS]",
                   unk_token="[UNK]", pad_token="[PAD]", tokenizer_class="TikTokenTokenizer",
                   auto_map=dict(AutoTokenizer=["tokenization_kimi.TikTokenTokenizer", None])), open(folder + "/tokenizer_config.json", "w"), indent=1)


class Kimi:
    pattern = KIMI

    def __init__(self, folder):
        self.ranks = {}
        for line in open(f"{folder}/{self.file}"):
            token, rank = line.split()
            self.ranks[base64.b64decode(token)] = int(rank)
        special = self.special(folder)
        self.size = max(special.values()) + 1
        self.model = tiktoken.Encoding("ranks", pat_str=self.pattern, mergeable_ranks=self.ranks, special_tokens=special)

    file = "tiktoken.model"

    def usable(self, text):
        return text

    def special(self, folder):
        n = len(self.ranks)
        given = {int(k): v["content"] for k, v in json.load(open(folder + "/tokenizer_config.json"))["added_tokens_decoder"].items()}
        return {given.get(i, f"<|reserved_token_{i}|>"): i for i in range(n, n + 258)}

    def parts(self, s, most):
        """At most so many characters in a row that are spaces, or are none."""
        start = run = 0
        for i, c in enumerate(s):
            same = i > 0 and c.isspace() == s[i - 1].isspace()
            run = run + 1 if same else 1
            if run > most:
                yield s[start:i]
                start, run = i, 1
        yield s[start:]

    def encode(self, text):
        out = []
        for i in range(0, len(text), 400_000):
            for part in self.parts(text[i:i + 400_000], 25_000):
                out += self.model.encode(part, allowed_special="all")
        return out

    def decode(self, ids):
        # Python and tiktoken replace bytes that are not UTF-8 alike.
        return self.model.decode(ids)


class Qwen(Kimi):
    """tokenization_qwen.py: NFC, special tokens by number, no cuts."""
    file = "qwen.tiktoken"
    pattern = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

    def special(self, folder):
        return {s: 151643 + i for i, s in enumerate(["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + [f"<|extra_{i}|>" for i in range(205)])}

    def usable(self, text):
        """Without marks that are younger than Unicode 3.2: quern refuses some of them."""
        return "".join(c for c in text if unicodedata.ucd_3_2_0.category(c) != "Cn" or unicodedata.category(c) not in ("Mn", "Mc", "Cn"))

    def encode(self, text):
        return self.model.encode(unicodedata.normalize("NFC", text), allowed_special="all")


# SentencePiece-style BPE.

REPLACE = dict(type="Replace", pattern=dict(String=" "), content="▁")
PREPEND = dict(type="Prepend", prepend="▁")
BACK = dict(type="Replace", pattern=dict(String="▁"), content=" ")
STRIP = dict(type="Strip", content=" ", start=1, stop=0)
SEQ = lambda key, *list: dict(type="Sequence", **{key: [*list]})
META = lambda scheme, split: dict(type="Metaspace", replacement="▁", prepend_scheme=scheme, split=split)
FULL = SEQ("decoders", BACK, dict(type="ByteFallback"), dict(type="Fuse"), STRIP)


def added(vocab, content, **flags):
    return dict(id=vocab[content] if isinstance(vocab, dict) else vocab, content=content, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True) | flags


def document(vocab, merges, added_tokens, **parts):
    model = dict(type="BPE", dropout=None, unk_token="<unk>", continuing_subword_prefix=None, end_of_word_suffix=None,
                 fuse_unk=True, byte_fallback=True, ignore_merges=False, vocab=vocab, merges=merges)
    return dict(version="1.0", truncation=None, padding=None, added_tokens=added_tokens, normalizer=None, pre_tokenizer=None,
                post_processor=None, decoder=None, model=model) | parts


def sentencepiece_bpe(proto):
    """The vocabulary of a model, the merges that transformers makes of it, and its control pieces."""
    sp = sentencepiece.SentencePieceProcessor(model_proto=proto)
    vocab = {sp.id_to_piece(i): i for i in range(sp.get_piece_size())}
    score = {s: sp.get_score(i) for s, i in vocab.items()}
    merges = []
    for s in vocab:
        local = [(s[:i], s[i:]) for i in range(1, len(s)) if s[:i] in vocab and s[i:] in vocab]
        merges += [(l, r, score[s]) for l, r in sorted(local, key=lambda x: (vocab[x[0]], vocab[x[1]]))]
    merges.sort(key=lambda x: x[2], reverse=True)
    return vocab, [(l, r) for l, r, _ in merges], [s for s, i in vocab.items() if sp.is_control(i) or sp.is_unknown(i)]


def make_llama2(folder, texts):
    """A model of SentencePiece's own trainer, with the merges that transformers makes of it."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter("\n".join(texts).split("\n")), model_writer=out, model_type="bpe", vocab_size=900,
                                             byte_fallback=True, character_coverage=0.98, normalization_rule_name="identity", remove_extra_whitespaces=False,
                                             split_digits=True, allow_whitespace_only_pieces=True, num_threads=1, minloglevel=2)
    vocab, merges, _ = sentencepiece_bpe(out.getvalue())
    post = dict(type="TemplateProcessing", single=[dict(SpecialToken=dict(id="<s>", type_id=0)), dict(Sequence=dict(id="A", type_id=0))], pair=[dict(Sequence=dict(id="A", type_id=0)), dict(Sequence=dict(id="B", type_id=1))],
                special_tokens={"<s>": dict(id="<s>", ids=[1], tokens=["<s>"])})
    doc = document(vocab, [f"{l} {r}" for l, r in merges], [added(vocab, s) for s in ("<unk>", "<s>", "</s>")],
                   normalizer=SEQ("normalizers", PREPEND, REPLACE), decoder=FULL, post_processor=post)
    write(folder, doc)
    json.dump(dict(add_bos_token=True, add_eos_token=False, bos_token="<s>", eos_token="</s>", unk_token="<unk>", tokenizer_class="LlamaTokenizer"), open(folder + "/tokenizer_config.json", "w"))


def make_gemma(folder, texts):
    """A model of tokenizers' trainer: runs of spaces and line ends are tokens, words are split nowhere."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "\n", "\n\n", "▁▁", "▁▁▁▁", "<table>"] + [f"<0x{b:02X}>" for b in range(256)]
    t = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    t.normalizer = normalizers.Replace(" ", "▁")
    t.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="never")
    t.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=900, special_tokens=special, limit_alphabet=160, show_progress=False))
    doc = json.loads(t.to_str())
    vocab = doc["model"]["vocab"]
    merges = [["\n", "\n"], ["▁", "▁"], ["▁▁", "▁▁"]] if "▁" in vocab else []
    doc = document(vocab, merges + doc["model"]["merges"], [added(vocab, s) for s in special[:6]] + [added(vocab, s, normalized=False, special=False) for s in ("<table>",)],
                   normalizer=REPLACE, pre_tokenizer=dict(type="Split", pattern=dict(String=" "), behavior="MergedWithPrevious", invert=False),
                   decoder=SEQ("decoders", BACK, dict(type="ByteFallback"), dict(type="Fuse")))
    write(folder, doc)


def write(folder, doc):
    os.makedirs(folder, exist_ok=True)
    json.dump(doc, open(folder + "/tokenizer.json", "w"), ensure_ascii=False, separators=(",", ":"))


def forms():
    """Other forms, as changes of llama2/ and gemma/: name, base, what differs at the top, and in the model."""
    never = SEQ("decoders", META("never", True), dict(type="ByteFallback"), dict(type="Fuse"))
    old = added(900, "word", normalized=True, special=False)
    yield "metaspace_first", "llama2", dict(normalizer=None, pre_tokenizer=META("first", False)), {}
    yield "metaspace_first_split", "llama2", dict(normalizer=None, pre_tokenizer=META("first", True), decoder=META("first", True)), {}
    yield "metaspace_always", "llama2", dict(normalizer=None, pre_tokenizer=META("always", True), decoder=SEQ("decoders", META("always", True), dict(type="ByteFallback"), dict(type="Fuse"))), {}
    yield "metaspace_never", "gemma", dict(normalizer=None, pre_tokenizer=META("never", True), decoder=never), {}
    yield "metaspace_old", "gemma", dict(normalizer=None, pre_tokenizer=dict(type="Metaspace", replacement="▁", add_prefix_space=True), decoder=dict(type="Metaspace", replacement="▁", add_prefix_space=True)), {}
    yield "metaspace_replaced", "gemma", dict(pre_tokenizer=META("first", True)), {}
    yield "no_bytes", "llama2", {}, dict(byte_fallback=False)
    yield "no_bytes_unfused", "llama2", {}, dict(byte_fallback=False, fuse_unk=False)
    yield "ignore_merges", "llama2", dict(normalizer=None, pre_tokenizer=META("always", True)), dict(ignore_merges=True)
    yield "digits", "llama2", dict(normalizer=REPLACE, pre_tokenizer=SEQ("pretokenizers", dict(type="Digits", individual_digits=True), dict(type="Split", pattern=dict(Regex=r"\n+"), behavior="Isolated", invert=False))), {}
    yield "strip", "llama2", dict(normalizer=SEQ("normalizers", dict(type="Strip", strip_left=True, strip_right=True), dict(type="NFC"), REPLACE), decoder=SEQ("decoders", dict(type="Fuse"), STRIP | dict(start=3))), {}
    yield "added", "llama2", dict(added_tokens=[added(0, "<unk>"), added(1, "<s>", normalized=True), added(2, "</s>", rstrip=True), old, added(901, "QQ", normalized=False, lstrip=True), added(902, "[INST]", normalized=True), added(903, " Q", normalized=True)]), {}
    yield "added_first", "llama2", dict(normalizer=None, pre_tokenizer=META("first", False), added_tokens=[added(0, "<unk>"), added(1, "<s>"), added(2, "</s>", lstrip=True), old, added(901, "QQ", rstrip=True)]), {}
    yield "bytes_lacking", "llama2", dict(), dict(byte_fallback=True, lacking=["<0xE4>", "<0xF0>", "<0xC3>"])
    yield "bytes_lacking_unfused", "llama2", dict(decoder=SEQ("decoders", BACK, dict(type="ByteFallback"))), dict(fuse_unk=False, lacking=["<0xE4>", "<0xF0>", "<0xC3>"])


def changed(doc, top, model):
    doc = copy.deepcopy(doc) | top
    model = dict(model)
    for s in model.pop("lacking", []): # the id stays taken
        doc["model"]["vocab"]["lost" + s] = doc["model"]["vocab"].pop(s)
    doc["model"] |= model
    return doc


def load(folder):
    return Tokenizer.from_str(open(folder + "/tokenizer.json", encoding="utf-8").read())


def line(t, text):
    if isinstance(t, Kimi):
        ids = t.encode(text)
        return dict(text=text, ids=ids, decoded=t.decode(ids))
    ids = t.encode(text, add_special_tokens=False).ids
    return dict(text=text, ids=ids, decoded=t.decode(ids, skip_special_tokens=False))


def case(c):
    if c["decoded"] == c["text"]:
        del c["decoded"]
    return json.dumps(c, separators=(",", ":")) + "\n"


FIXED = ["", " ", "  ", "\n", "a", " a", "a ", "Hello, world!", "  two  spaces ", "▁", "▁▁x", " ▁ ", "<s>a", "a<s> b", "<unk>", "\U0001f600é中", "\u4e00\u4e01", "<0x41><0xE2>\u20ac"]


def make():
    texts = corpus()
    makers = dict(kimi=make_kimi, llama2=make_llama2, gemma=make_gemma)
    for name, f in makers.items():
        os.chdir(HERE)
        f(name, texts)
        r = random.Random(name)
        t = Kimi(name) if name == "kimi" else load(name)
        with compressed(name + "/cases.jsonl.gz") as out:
            for text in FIXED + [some_text(r, texts) for _ in range(240)]:
                out.write(case(line(t, text)))
    with compressed("characters.jsonl.gz") as out:
        for name, base, top, model in forms():
            r = random.Random(name)
            t = Tokenizer.from_str(json.dumps(changed(json.load(open(base + "/tokenizer.json")), top, model)))
            out.write(json.dumps(dict(form=name, base=base, set=top, model=model), separators=(",", ":")) + "\n")
            for text in FIXED + [some_text(r, texts) for _ in range(60)]:
                out.write(case(line(t, text)))


def fuzz(quern, count, seed):
    texts = corpus()
    bad = 0
    for name in ("kimi", "llama2", "gemma"):
        folder = os.path.join(HERE, name)
        bad += compare(quern, count, f"{seed} {name}", folder, Kimi(folder) if name == "kimi" else load(folder), texts)
    for name, base, top, model in forms():
        with tempfile.TemporaryDirectory() as tmp:
            write(tmp, changed(json.load(open(f"{HERE}/{base}/tokenizer.json")), top, model))
            bad += compare(quern, count, f"{seed} {name}", tmp, load(tmp), texts)
    sys.exit(bad > 0)


def real(quern, count, files):
    texts = corpus()
    bad = 0
    for f in files:
        with tempfile.TemporaryDirectory() as tmp:
            if f.endswith(".tiktoken"):
                shutil.copy(f, tmp + "/qwen.tiktoken")
                json.dump(dict(tokenizer_class="QWenTokenizer"), open(tmp + "/tokenizer_config.json", "w"))
                bad += compare(quern, count, f, tmp, Qwen(tmp), texts)
            elif f.endswith(".json"):
                with open(tmp + "/tiktoken.model", "w") as out:
                    for x in json.load(open(f))["vocab"]:
                        out.write(f"{x['token_bytes']} {x['rank']}\n")
                json.dump(dict(tokenizer_class="TikTokenTokenizer", added_tokens_decoder={}), open(tmp + "/tokenizer_config.json", "w"))
                bad += compare(quern, count, f, tmp, Kimi(tmp), texts)
            else:
                vocab, merges, control = sentencepiece_bpe(open(f, "rb").read())
                for parts in (dict(normalizer=SEQ("normalizers", PREPEND, REPLACE)), dict(pre_tokenizer=META("first", False))):
                    write(tmp, document(vocab, merges, [added(vocab, s) for s in control], decoder=FULL, **parts))
                    bad += compare(quern, count, f"{f}, {', '.join(parts)}", tmp, load(tmp), texts)
    sys.exit(bad > 0)


def compare(quern, count, name, folder, t, texts):
    ranked = isinstance(t, Kimi)
    size = t.size if ranked else t.get_vocab_size()
    r = random.Random(name)
    want = [line(t, t.usable(some_text(r, texts)) if ranked else some_text(r, texts)) for _ in range(count)]
    if ranked:  # where long texts are cut
        want += [line(t, long_text(r, texts)) for _ in range(40)]
    flags = [dict(ids=w["ids"]) for w in want]
    for _ in range(count // 4):  # ids that no text has
        ids = [r.randrange(size) for _ in range(r.randrange(1, 12))]
        if not ranked and r.random() < 0.7:
            ids = [r.choice([r.randrange(3, 270), r.randrange(size)]) for _ in ids]
        flags.append(dict(ids=ids, text=t.decode(ids) if ranked else t.decode(ids, skip_special_tokens=False)))

    def ask(lines, *more):
        data = "".join(json.dumps(x) + "\n" for x in lines).encode()
        p = subprocess.run([quern, "tokenize", "--jsonl", *more, folder], input=data, capture_output=True)
        if p.returncode:
            sys.exit(f"{name}: {p.stderr.decode()}")
        return [json.loads(x) for x in p.stdout.decode().split("\n") if x]

    wrong = [(w, g) for w, g in zip(want, ask([dict(text=w["text"]) for w in want]), strict=True) if w["ids"] != g["ids"]]
    asked = [w["decoded"] for w in want] + [x["text"] for x in flags[len(want):]]
    lost = [(x["ids"], w, g["text"]) for x, w, g in zip(flags, asked, ask([dict(ids=x["ids"]) for x in flags], "--decode"), strict=True) if w != g["text"]]
    print(f"{name}: {len(want)} texts, {len(wrong)} with other ids; {len(flags)} lists of ids, {len(lost)} with other texts", flush=True)
    for w, g in wrong[:3]:
        print("  ", ascii(w["text"])[:200], w["ids"][:60], g["ids"][:60])
    for ids, w, g in lost[:3]:
        print("  ", ids[:60], ascii(w)[:200], ascii(g)[:200])
    return len(wrong) + len(lost)


if __name__ == "__main__":
    if sys.argv[1:] == ["make"]:
        make()
    elif sys.argv[1:2] == ["fuzz"] and len(sys.argv) in (4, 5):
        fuzz(sys.argv[2], int(sys.argv[3]), (sys.argv + ["1"])[4])
    elif sys.argv[1:2] == ["real"] and len(sys.argv) > 4:
        real(sys.argv[2], int(sys.argv[3]), sys.argv[4:])
    else:
        sys.exit(__doc__)
