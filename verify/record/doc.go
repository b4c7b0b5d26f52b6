// Package record keeps what a verification has found so far, so that nothing is looked
// for twice: a run that was cut goes on, and tasks on many machines are put together.
//
// A [Book] has records by name: what the checks of a tensor found, what models made of
// some chunks of text. Figures are made of records alone, in one order, by a whole run
// too; so it is of no consequence who found them and when.
//
// A book lasts in two forms. [Open] keeps it in a folder of this machine as it grows,
// with the hidden states of an evaluation under way; the folder is gone when the run is
// done. [WritePart] makes a file of the book of one task, and [ReadPart] reads it. Both
// hold frames:
//
//	4 bytes   length of the name
//	8 bytes   length of the data
//	16 bytes  BLAKE3 of both lengths, name and data
//	name, data
//
// The first frame, identity, says what was verified and how ([Identity]):
// other weights, texts or options are another verification. Of a part the last frame is
// end; a log has none, and what is torn at its end is the trace of a kill.
package record
