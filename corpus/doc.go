// Package corpus is what models are run on: texts as token ids, read from files or
// made by a tokenizer, and cut into the chunks that a model sees at once.
package corpus
