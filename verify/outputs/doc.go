// Package outputs reads, writes and compares outputs files: what a model makes of a
// text, as one safetensors file that any stack can write.
//
// # The file
//
//	input_ids           I64 or I32  [T] or [B,T]  token ids
//	logits              float       [T,V] or [B,T,V]
//	mtp_logits          float       [T−1,V] or [B,T−1,V]  optional
//	hidden.{i}          float       [T,H] or [B,T,H]      optional
//	router.{l}.indices  I64 or I32  [T,k] or [B,T,k]      optional
//	offsets             I64 or I32  [N+1]                 optional
//
// where float is F32, BF16 or F16. B sequences of T tokens were given to the model,
// each by itself. Row i of logits predicts input_ids[i+1], so the last row of a
// sequence predicts a token that is not in the file, and is not scored. Row i of
// mtp_logits is what the MTP layer makes of rows up to i and of the token i+1: it
// predicts token i+2, and there is none for the last token. hidden.{i} is the input
// of layer i; the last one is what the final norm gives. router.{l}.indices are the
// experts that layer l chose, that with the highest weight first; those of an MTP
// layer have a row less, as its logits do.
//
// Sequences of different lengths stand one after the other in input_ids [T] and all
// other tensors, and offsets says where they begin: sequence s has the tokens
// offsets[s] … offsets[s+1]−1. offsets[0] is 0, the last one is T, and no sequence
// is empty. N sequences have T−N rows in mtp_logits.
//
// Where a tensor has a row less than there are tokens, it may also have as many; the
// last row of each sequence is then not used (of mtp_logits) or treated as any other
// (of a router). A leading dimension of 1 may be there or not. Other tensors and
// metadata are ignored. Files of other shapes, ids outside of [0,V) and offsets out of
// order are refused, with an error that matches invalid.Input and names file,
// tensor and shape.
//
// # Memory
//
// Logits are read in pieces of at most [pieceElements]; only ids, the figures of each
// token and one layer's choice of experts are held.
package outputs
