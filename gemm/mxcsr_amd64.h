// FLUSHON makes subnormal operands and results zeros if bit 2 of the mode says so,
// FLUSHOFF restores what was. Both continue at the label, which follows them. They
// use the 8 bytes of the frame.
#define FLUSHON(mode, tmp, label) \
	TESTB $4, mode; \
	JZ label; \
	STMXCSR 0(SP); \
	MOVL 0(SP), tmp; \
	ORL $0x8040, tmp; \
	MOVL tmp, 4(SP); \
	LDMXCSR 4(SP)

#define FLUSHOFF(mode, label) \
	TESTB $4, mode; \
	JZ label; \
	LDMXCSR 0(SP)
