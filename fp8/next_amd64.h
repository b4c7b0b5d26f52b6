// NEXT asks for a line of this row in the tile to the right: rows are so far apart that no
// processor foresees where the next tile is read, and without it waits for memory.
#define NEXT(at) PREFETCHT1 at(SI)

#define NEXTBF16 \
	NEXT(256); \
	NEXT(320); \
	NEXT(384); \
	NEXT(448)

#define NEXTF32 \
	NEXT(512); \
	NEXT(576); \
	NEXT(640); \
	NEXT(704); \
	NEXT(768); \
	NEXT(832); \
	NEXT(896); \
	NEXT(960)
