// Package tokenizer turns text into token ids and back, as a checkpoint's files say:
// byte-level BPE from tokenizer.json (DeepSeek, Qwen, Llama 3, GLM, MiniMax, gpt-oss),
// BPE over characters with byte fallback from the same file (Mixtral, Mistral, Llama 2,
// Gemma), and byte-level BPE by ranks from tiktoken.model (Kimi).
//
// The ids are those of Hugging Face tokenizers 0.23 and of tiktoken for every text, down
// to their oddities; where this package knows no way to be equal, [Open]
// refuses the file with an error that names the part (and matches invalid.Input).
// Nothing is approximated.
//
// # From text to ids
//
//  1. Added tokens that are not normalized are found in the text, longest first
//     (added.go). What lies between them goes on.
//  2. The normalizers change it (normalize.go, nfc.go); then the added tokens that are
//     normalized are found in that.
//  3. The pre-tokenizers split what is left into words, one after the other: Split
//     by a regular expression or a string, Digits, ByteLevel (split.go), Metaspace
//     (metaspace.go).
//  4. Byte-pair encoding of each word: the pair of neighbours that stands first among
//     the merges is joined, the leftmost one of them first, until no merge is left
//     (bpe.go). It begins with bytes, or with characters, those that are no tokens as
//     the tokens of their bytes (characters.go). With ranks, each two tokens that make
//     a token together are a merge (ranks.go).
//
// Of tokenizer.json are supported: normalizers NFC, Prepend, Replace and Strip;
// pre_tokenizers Split, Digits, Metaspace and, at the end, ByteLevel; model BPE
// without dropout, prefixes and suffixes; decoders ByteLevel, or Replace, Metaspace,
// ByteFallback, Fuse and Strip in this order (decoder.go); Sequences of all these; any
// added tokens. The post_processor is read for one purpose: which special tokens it
// puts around a text ([Tokenizer.Around]). Truncation and padding are not applied, as
// in transformers, which resets both before each call.
//
// A file of ranks has neither patterns nor special tokens; those are known by the
// class that tokenizer_config.json names (rankclass.go).
//
// # Regular expressions
//
// Patterns are in the syntax of Oniguruma. Those of the well-known tokenizers have
// matchers written by hand (known.go); all others are translated, character
// classes spelled out (translate.go), and run by regexp2 within bounds of time and
// memory. What would not mean the same there is refused. Tests hold the matchers
// equal to the translation.
//
// # Untrusted files
//
// A tokenizer.json may come from anyone. Its size, ids, tokens, patterns and the
// time that a pattern takes are bounded; BPE takes n log n steps for a word of n
// bytes, whatever the merges.
package tokenizer
