// Package tokenizer turns text into token ids and back, as a checkpoint's
// tokenizer.json says: byte-level BPE, the kind that GPT-2 brought and that
// DeepSeek, Qwen, Llama 3, GLM, MiniMax and gpt-oss use.
//
// The ids are those of Hugging Face tokenizers 0.23 for every text, down to its
// oddities; where this package knows no way to be equal, [Parse] or [Open] refuses
// the file with an error that names the part (and matches formats.ErrInvalid).
// Nothing is approximated.
//
// # From text to ids
//
//  1. Added tokens that are not normalized are found in the text, longest first
//     (added.go). What lies between them goes on.
//  2. NFC, where the file asks for it (nfc.go); then the added tokens that are
//     normalized are found in that.
//  3. The pre-tokenizers split what is left into words, one after the other: Split
//     by a regular expression or a string, Digits, ByteLevel (pretokenizer.go).
//  4. Byte-pair encoding of each word's bytes: the pair of neighbours that stands
//     first among the merges is joined, the leftmost one of them first, until no
//     merge is left (bpe.go).
//
// Supported are: normalizer null, NFC, or a Sequence of such; pre_tokenizer
// ByteLevel, or a Sequence of Split, Digits and, at the end, ByteLevel; model BPE
// without dropout, prefixes and suffixes; decoder ByteLevel; any added tokens. The
// post_processor is read for one purpose: which special tokens it puts around a
// text ([Tokenizer.BOS]). Truncation and padding are not applied, as in
// transformers, which resets both before each call.
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
