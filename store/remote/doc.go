// Package remote reads files that lie behind a network, for all kinds of stores: it
// turns a [Source], which gives a range of a file once if all goes well, into a
// store.Object that is read as if it were local.
//
// All objects of a process share one [Reader], so that what they keep and have in
// flight stays within one budget of bytes:
//
//   - A small read fetches more than it asks for (128 KiB, twice as much each time the
//     next read goes on where the last ended), as the eight bytes before a header are
//     followed by the header.
//   - A large read goes straight to where it is wanted, cut into ranges of 8 MiB that
//     are fetched at once.
//   - A file that is read from front to back is read ahead, as many ranges of 8 MiB at
//     once as the budget holds. One range after the other would leave a link idle for
//     a round trip each time: at 50 ms and 200 MB/s more than half of it.
//
// A try that ends with [TryAgain] is made again after a pause, from the byte where it
// ended. Sources say what is worth it: dropped connections, 429, 503, signed links that
// have expired.
package remote
